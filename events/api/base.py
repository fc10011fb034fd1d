"""What the API's views share: pages, serializers that validate as the admin does, and the audit of changes."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models, transaction
from django_filters import BooleanFilter
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import serializers, viewsets
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from events.admin.audit import operator_acted
from events.models import ApiKey, Scope

from .wire import JSON


class NewestFirst(CursorPagination):
    """Pages of 50, or `?limit=` up to 500, newest first; `next` and `previous` are links."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def paginate_queryset(
        self, queryset: models.QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        """Return one page; a query parameter that the list cannot use is an error under its name."""
        own = {self.cursor_query_param, self.page_size_query_param, api_settings.URL_FORMAT_OVERRIDE}
        filters = DjangoFilterBackend().get_filterset_class(view, queryset)
        known = [*(filters.base_filters if filters else ()), self.page_size_query_param]
        legal = ", ".join(known)
        unknown = sorted(set(request.query_params) - own.union(known))
        faults = dict.fromkeys(unknown, f"Unknown query parameter; there are: {legal}.")
        # The library takes what it cannot read for not given, and would answer with the whole list.
        for name in request.query_params:
            given = request.query_params.get(name, "")
            is_flag = filters is not None and isinstance(filters.base_filters.get(name), BooleanFilter)
            if is_flag and given.lower() not in {"", "true", "false"}:
                faults[name] = "Write true or false."
        limit = request.query_params.get(self.page_size_query_param, "1")
        if not re.fullmatch(r"[0-9]{1,9}", limit) or not int(limit):
            faults[self.page_size_query_param] = f"Write a number from 1 to {self.max_page_size}."
        if faults:
            raise serializers.ValidationError(faults)
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: Request) -> Any:
        """Read the cursor; one that names no position is refused, not looked up."""
        cursor = super().decode_cursor(request)
        position = cursor.position if cursor else None
        if position is not None and not re.fullmatch(r"[0-9]{1,18}", str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class OldestFirst(NewestFirst):
    """Pages in the order of making."""

    ordering = "id"


class Strict(serializers.Serializer[Any]):
    """Refuses members that it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the members; an unknown one is an error under its name."""
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            legal = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            raise serializers.ValidationError(dict.fromkeys(unknown, f"Unknown member; there are: {legal}."))
        return super().to_internal_value(data)


class ModelSerializer(Strict, serializers.ModelSerializer[Any]):
    """Validates by the model's own `full_clean()`, and refuses members that it does not know."""

    # Members that are no fields of the model, saved apart from it.
    nested: ClassVar[frozenset[str]] = frozenset()

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
            raise serializers.ValidationError(_by_field(error)) from None
        return attrs | {name: getattr(instance, name) for name in own}

    def vet(self, instance: Any, attrs: dict[str, Any]) -> None:
        """Check what reaches beyond the one row; raises Django's ValidationError by field."""

    def unclean(self) -> set[str]:
        """Fields that cannot be validated here, such as a parent that is not saved yet."""
        return set()


def _by_field(error: DjangoValidationError) -> dict[str, list[str]]:
    """Return the messages by field; what is there twice is told of the last of the fields that make it one."""
    faults: dict[str, list[str]] = {}
    for name, errors in error.error_dict.items():
        for each in errors:
            of = (each.params or {}).get("unique_check") if name == NON_FIELD_ERRORS else None
            faults.setdefault(of[-1] if of else name, []).extend(each.messages)
    return faults


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

    @transaction.atomic
    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save it, and have it written down who did."""
        self._note("create", serializer.save())

    @transaction.atomic
    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save the change, and have it written down who made it and which members it named."""
        members = ", ".join(sorted(serializer.validated_data))
        self._note("update", serializer.save(), reason=f"Given: {members}." if members else "")

    @transaction.atomic
    def perform_destroy(self, instance: models.Model) -> None:
        """Delete it, and have it written down who did."""
        self._note("delete", instance)
        instance.delete()

    def _note(self, verb: str, instance: models.Model, *, reason: str = "") -> None:
        kind = self.permission_model._meta.model_name
        operator_acted.send(
            self.permission_model,
            actor=self.request.auth if isinstance(self.request.auth, ApiKey) else self.request.user,
            action=f"{kind}.{verb}",
            subjects=[f"{kind} {instance.pk}"],
            reason=reason,
        )


def flag(request: Request, name: str) -> bool:
    """Return whether a query parameter says yes; a 400 names it where it says neither."""
    text = request.query_params.get(name, "0")
    if text not in {"0", "1", "false", "true"}:
        raise serializers.ValidationError({name: "Write 1 or 0."})
    return text in {"1", "true"}
