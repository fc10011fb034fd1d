"""What the API's views share: pages, and serializers that validate as the admin does."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from rest_framework import serializers, viewsets
from rest_framework.pagination import CursorPagination

from events.models import Scope

from .wire import JSON


class NewestFirst(CursorPagination):
    """Pages of 50, or `?limit=` up to 500, newest first; `next` and `previous` are links."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


class OldestFirst(NewestFirst):
    """Pages in the order of making."""

    ordering = "id"


class ModelSerializer(serializers.ModelSerializer[Any]):
    """Validates by the model's own `full_clean()`, and refuses members that it does not know."""

    # Members that are no fields of the model, saved apart from it.
    nested: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        """Read the members; an unknown one is an error under its name."""
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            legal = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            raise serializers.ValidationError(dict.fromkeys(unknown, f"Unknown member; there are: {legal}."))
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Run the model's validation, and take over what its `clean()` normalised."""
        model: Any = self.Meta.model
        many = {field.name for field in model._meta.many_to_many}
        own = {name: value for name, value in attrs.items() if name not in many | self.nested}
        instance = copy.copy(self.instance) if isinstance(self.instance, models.Model) else model()
        for name, value in own.items():
            setattr(instance, name, value)
        try:
            self.vet(instance, attrs)
            instance.full_clean(exclude=self.unclean())
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return attrs | {name: getattr(instance, name) for name in own}

    def vet(self, instance: Any, attrs: dict[str, Any]) -> None:
        """Check what reaches beyond the one row; raises Django's ValidationError by field."""

    def unclean(self) -> set[str]:
        """Fields that cannot be validated here, such as a parent that is not saved yet."""
        return set()


class ConfigViewSet(viewsets.ModelViewSet[Any]):
    """Configuration, managed as the admin does: `config:read` to see it, `config:write` to change it."""

    renderer_classes = [JSON]
    pagination_class = OldestFirst
    required_scopes = {
        "GET": Scope.CONFIG_READ,
        **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), Scope.CONFIG_WRITE),
    }

    @property
    def permission_model(self) -> type[models.Model]:
        """The model whose permissions a staff user needs."""
        # By way of the class: on an instance, the type checker takes `queryset` for a manager.
        return type(self).queryset.model  # type: ignore[union-attr]
