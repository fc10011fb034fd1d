"""Addresses that get no mail: listed, added and released."""

from typing import Any

from django.db import models, transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events import ids
from events.api.acting import actor_of, require
from events.api.base import ModelSerializer, NewestFirst, Strict
from events.api.wire import JSON
from events.models import Scope
from events.visibility import operators_only
from notifications import suppress
from notifications.models import Suppression


class SuppressionSerializer(ModelSerializer):
    """An address that gets no mail, and why."""

    delivery = serializers.SerializerMethodField(help_text="dlv_…, the mail that showed it; null: none did.")

    class Meta:
        model = Suppression
        fields = [
            "id", "address", "reason", "detail", "said_by", "delivery",
            "created_at", "created_by", "released_at", "released_by",
        ]  # fmt: skip
        read_only_fields = [
            "reason", "said_by", "created_at", "created_by", "released_at", "released_by"
        ]  # fmt: skip
        validators: list[object] = []

    def get_delivery(self, row: Suppression) -> str | None:
        """Return its public id."""
        return ids.public("dlv", row.delivery.uid) if row.delivery else None


class ReleaseSerializer(Strict):
    """Why an address gets mail again."""

    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=500, help_text="For the audit log."
    )


class SuppressionFilter(filters.FilterSet):  # type: ignore[misc]  # it comes without types
    """By address and reason; those in force, or those released."""

    address = filters.CharFilter(method="by_address", help_text="Exactly, in any case.")
    released = filters.BooleanFilter("released_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Suppression
        fields = ["address", "reason", "released"]

    def by_address(self, rows: models.QuerySet[Suppression], _name: str, value: str) -> Any:
        """Compared in small letters, on the index."""
        return rows.filter(address=value.strip().lower())


class SuppressionViewSet(
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Any],
):
    """Suppressed addresses. None is deleted: it is released, and stays on record."""

    queryset = Suppression.objects.select_related("delivery")
    serializer_class = SuppressionSerializer
    filterset_class = SuppressionFilter
    renderer_classes = [JSON]
    pagination_class = NewestFirst
    permission_model = Suppression
    required_scopes = {"GET": Scope.DELIVERIES_READ, "POST": Scope.DELIVERIES_OPERATE}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """For operators: an address is mailed for many subscribers."""
        super().initial(request, *args, **kwargs)
        operators_only(request, "Suppressed addresses")

    @transaction.atomic
    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Suppress it, and take back what waits for it."""
        suppress.follow(serializer.save(), actor_of(self.request))

    @extend_schema(request=ReleaseSerializer, responses={200: SuppressionSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, **_kwargs: Any) -> Response:
        """Mail the address again; one that is released already stays so."""
        require(request, "notifications.change_suppression")
        given = ReleaseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        suppress.release([self.get_object().pk], actor_of(request), given.validated_data.get("reason", ""))
        return Response(self.get_serializer(self.get_object()).data)
