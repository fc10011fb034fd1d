"""Managing webhook endpoints."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.base import ConfigViewSet, ModelSerializer
from events.models import ApiKey
from notifications import backlog, diagnose, switch
from notifications.audit import Actor
from notifications.backlog import Backlog
from notifications.diagnose import State
from notifications.forms import MOST_PER_MINUTE
from notifications.models import Endpoint

from .strict import Strict
from .trials import TrialActions


class EndpointSerializer(ModelSerializer):
    """A webhook receiver; its signing secret is shown once, in the answer that creates it."""

    url = serializers.CharField(read_only=True, help_text="Base URL and path, joined: what is called.")
    state = serializers.SerializerMethodField(
        help_text="failing: it failed again and again, and gets one probe at a time."
    )

    class Meta:
        model = Endpoint
        fields = [
            "id",
            "subscriber",
            "name",
            "base_url",
            "path",
            "url",
            "ca_certificate",
            "timeout_seconds",
            "max_in_flight",
            "rate_per_minute",
            "state",
            "is_active",
            "paused_reason",
            "created_at",
            "updated_at",
        ]
        validators: list[object] = []

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, endpoint: Endpoint) -> str:
        """Return how it fares."""
        return diagnose.state(endpoint).value


class PauseSerializer(Strict):
    """Why an endpoint is paused."""

    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=500, help_text="For the audit log."
    )


class ResumeSerializer(PauseSerializer):
    """How fast what waits may go."""

    per_minute = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_PER_MINUTE,
        help_text="Deliveries a minute for what waits now; null: as fast as its answers allow, with a slow start.",
    )


class BacklogSerializer(serializers.Serializer[Any]):
    """What waits for an endpoint."""

    state = serializers.ChoiceField(choices=State.choices)
    deliveries = serializers.IntegerField(help_text="All that wait to be sent.")
    in_lanes = serializers.IntegerField(help_text="How many of them wait in lanes, in order.")
    lanes = serializers.IntegerField(help_text="In how many lanes.")
    oldest = serializers.DateTimeField(allow_null=True)
    minutes = serializers.IntegerField(
        allow_null=True, help_text="How long it takes at the rate given; null: none is given."
    )


class CreatedEndpointSerializer(EndpointSerializer):
    """A new endpoint, with its signing secret."""

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]
        extra_kwargs: dict[str, Any] = {"secret": {"read_only": True}}


class EndpointViewSet(TrialActions, ConfigViewSet):
    """Webhook endpoints, and testing, checking, pausing and resuming them."""

    queryset = Endpoint.objects.select_related("circuit")
    serializer_class = EndpointSerializer
    filterset_fields = ["subscriber", "name", "is_active"]

    @extend_schema(responses={201: CreatedEndpointSerializer})
    def create(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Create an endpoint; the answer alone tells its signing secret."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_create(serializer)
        # Nothing on the way may keep the secret.
        return Response(
            CreatedEndpointSerializer(serializer.instance).data,
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )

    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save; one that this stops or lets go on is in the audit log, as after the verbs."""
        endpoint: Any = serializer.instance
        with switch.edited(endpoint, _actor(self.request)):
            super().perform_update(serializer)

    @extend_schema(request=PauseSerializer, responses={200: BacklogSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **_kwargs: Any) -> Response:
        """Call it no more until it is resumed; the answer tells what waits."""
        endpoint, given = self._asked(PauseSerializer)
        switch.pause(Endpoint, [endpoint.pk], _actor(request), given.get("reason", ""))
        return self._backlog(backlog.preview(endpoint))

    @extend_schema(request=ResumeSerializer, responses={200: BacklogSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_kwargs: Any) -> Response:
        """Call it again; what waits goes first and in order, at a rate if one is given."""
        endpoint, given = self._asked(ResumeSerializer)
        per_minute = given.get("per_minute")
        resumed = switch.resume(
            Endpoint, [endpoint.pk], _actor(request), per_minute=per_minute, reason=given.get("reason", "")
        )
        found = resumed[0][1] if resumed else backlog.preview(endpoint)
        return self._backlog(found, per_minute if resumed else None)

    def _asked(self, kind: type[PauseSerializer]) -> tuple[Endpoint, dict[str, Any]]:
        """Return the endpoint, and what was sent; a 400 names what is wrong with it."""
        user, change = self.request.user, "notifications.change_endpoint"
        # The scope was checked, and for a person only the permission to add.
        if not isinstance(self.request.auth, ApiKey) and not user.has_perm(change):
            raise PermissionDenied(f"You need the permission {change}.")
        endpoint, serializer = self.get_object(), kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return endpoint, serializer.validated_data

    def _backlog(self, found: Backlog, per_minute: int | None = None) -> Response:
        told = {name: getattr(found, name) for name in ("deliveries", "in_lanes", "lanes", "oldest")}
        state = diagnose.state(self.get_object()).value
        minutes = found.minutes(per_minute) if per_minute else None
        return Response(BacklogSerializer({"state": state, **told, "minutes": minutes}).data)


def _actor(request: Request) -> Actor:
    return request.auth if isinstance(request.auth, ApiKey) else request.user
