"""Django's classes that take a type in their stubs only: here they take one at run time too."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator as _Paginator
from django.forms import BaseInlineFormSet as _BaseInlineFormSet
from django.forms import ModelForm as _ModelForm

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline
    from django.core.paginator import Paginator
    from django.forms import BaseInlineFormSet, ModelForm
else:

    class _Subscriptable:
        def __class_getitem__(cls, _types: Any) -> type:
            return cls

    class ModelAdmin(_Subscriptable, admin.ModelAdmin):
        """A page of the console."""

    class TabularInline(_Subscriptable, admin.TabularInline):
        """Rows inside another page."""

    class StackedInline(_Subscriptable, admin.StackedInline):
        """Forms inside another page."""

    class ModelForm(_Subscriptable, _ModelForm):
        """A form for a row."""

    class BaseInlineFormSet(_Subscriptable, _BaseInlineFormSet):
        """Forms for the rows that belong to another."""

    class Paginator(_Subscriptable, _Paginator):
        """Rows in pages."""


__all__ = ["BaseInlineFormSet", "ModelAdmin", "ModelForm", "Paginator", "StackedInline", "TabularInline"]
