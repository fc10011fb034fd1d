"""Deleting rows and what goes with them: named first, whatever secrets they hold, and written down."""

from contextlib import AbstractContextManager
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from .audited import Audited

M = TypeVar("M", bound=Model)


class Deletable(Audited[M]):
    """A page from which rows are deleted, also those whose secrets no key opens."""

    # Whether its rows, which nobody may delete here, go when what they belong to is deleted.
    falls_with_its_owner = False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what would go with these rows, whatever secrets it holds.

        Records that nobody deletes by themselves fall with what they belong to.
        """
        with _unopened(self.admin_site):
            rows, counts, lacking, protected = super().get_deleted_objects(objs, request)
        pages = self.admin_site._registry.items()
        fall = {
            model._meta.verbose_name for model, page in pages if getattr(page, "falls_with_its_owner", False)
        }
        return rows, counts, lacking - fall, protected

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Name those that are about to go, whatever secrets they hold."""
        with _unopened(self.admin_site):
            return super().log_deletions(request, queryset)

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        """Delete one, and what goes with it, whatever secrets that holds."""
        with _unopened(self.admin_site):
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        """Delete those chosen, and what goes with them, whatever secrets that holds."""
        with _unopened(self.admin_site):
            super().delete_queryset(request, queryset)


def _unopened(site: Any) -> AbstractContextManager[None]:
    """Return what the site has for reading rows without their secrets; they are kept by the app beside this one."""
    found: AbstractContextManager[None] = site.unopened()
    return found
