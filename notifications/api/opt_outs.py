"""Recipients who left the mails of a subscription: listed, and subscribed again where they ask for it."""

from typing import Any

from django.db import models
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.acting import actor_of, require
from events.api.base import ModelSerializer, NewestFirst
from events.api.wire import JSON
from events.models import Scope
from notifications.models import OptOut
from notifications.subscribe_again import subscribe_again

from .suppressions import ReleaseSerializer


class OptOutSerializer(ModelSerializer):
    """Who left what, and when."""

    class Meta:
        model = OptOut
        fields = ["id", "address", "subscription", "is_one_click", "created_at"]
        read_only_fields = fields
        validators: list[object] = []


class SubscribedAgainSerializer(serializers.Serializer[Any]):
    """What is left: nothing but the number."""

    subscribed_again = serializers.IntegerField()


class OptOutFilter(filters.FilterSet):  # type: ignore[misc]  # it comes without types
    """By address and subscription."""

    address = filters.CharFilter(method="by_address", help_text="Exactly, in any case.")

    class Meta:
        model = OptOut
        fields = ["address", "subscription"]

    def by_address(self, rows: models.QuerySet[OptOut], _name: str, value: str) -> Any:
        """Compared in small letters, on the index."""
        return rows.filter(address=value.strip().lower())


class OptOutViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Opt-outs. Only recipients add them, by the link in their mails."""

    queryset = OptOut.objects.all()
    serializer_class = OptOutSerializer
    filterset_class = OptOutFilter
    renderer_classes = [JSON]
    pagination_class = NewestFirst
    permission_model = OptOut
    required_scopes = {"GET": Scope.CONFIG_READ, "POST": Scope.CONFIG_WRITE}

    @extend_schema(request=ReleaseSerializer, responses={200: SubscribedAgainSerializer})
    @action(detail=True, methods=["post"], url_path="subscribe-again")
    def subscribe_again(self, request: Request, **_kwargs: Any) -> Response:
        """Send the mails again, only where the recipient has asked for it."""
        require(request, "notifications.delete_optout")
        given = ReleaseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor = actor_of(request)
        chosen = OptOut.objects.filter(pk=self.get_object().pk)
        done = subscribe_again(chosen, actor, given.validated_data.get("reason", ""))
        return Response({"subscribed_again": done})
