"""Managing webhook endpoints."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.acting import actor_of, require
from events.api.base import ConfigViewSet, Strict
from notifications import backlog, diagnose, switch
from notifications.address_warnings import warnings_of
from notifications.backlog import Backlog
from notifications.diagnose import State
from notifications.forms import MOST_PER_MINUTE
from notifications.models import Endpoint, EndpointHeader
from notifications.rotate import DEFAULT_OVERLAP, LONGEST_OVERLAP, Key, rotate

from .endpoint_serializers import CreatedEndpointSerializer, EndpointSerializer
from .trials import TrialActions


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


class RotateSerializer(PauseSerializer):
    """What is rotated, and for how long the old one signs too."""

    key = serializers.ChoiceField(
        choices=Key.choices,
        default=Key.SECRET,
        help_text="The signing secret (v1), or the Ed25519 key pair (v1a).",
    )
    overlap_hours = serializers.IntegerField(
        default=DEFAULT_OVERLAP,
        min_value=0,
        max_value=LONGEST_OVERLAP,
        help_text="For how long the old one signs beside the new; 0: not at all.",
    )


class RotatedSerializer(serializers.Serializer[Any]):
    """What the receiver verifies with from now on."""

    secret = serializers.CharField(
        allow_null=True, help_text="The new signing secret, here and nowhere later."
    )
    public_key = serializers.CharField(
        allow_blank=True, help_text="Of the Ed25519 key pair, where there is one."
    )
    former_signs_until = serializers.DateTimeField(allow_null=True)


class EndpointViewSet(TrialActions, ConfigViewSet):
    """Webhook endpoints, and testing, checking, pausing and resuming them."""

    queryset = (
        Endpoint.objects.select_related("circuit")
        .prefetch_related(Prefetch("headers", EndpointHeader.objects.defer("secret_value")))
        .defer(*Endpoint.SECRETS)
    )
    serializer_class = EndpointSerializer
    filterset_fields = ["subscriber", "name", "is_active"]

    @extend_schema(responses={201: CreatedEndpointSerializer})
    def create(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Create an endpoint; the answer alone tells its signing secret."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_create(serializer)
        self._warn(serializer)
        # Nothing on the way may keep the secret.
        return Response(
            CreatedEndpointSerializer(serializer.instance).data,
            status=status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )

    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save; one that this stops or lets go on is in the audit log. The answer warns of refused addresses."""
        endpoint: Any = serializer.instance
        with switch.edited(endpoint, actor_of(self.request)):
            super().perform_update(serializer)
        self._warn(serializer)

    @extend_schema(request=RotateSerializer, responses={200: RotatedSerializer})
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, **_kwargs: Any) -> Response:
        """Replace what it signs with; the old one signs too for a while, and the answer alone tells the new one."""
        endpoint, given = self._asked(RotateSerializer)
        key = given["key"]
        try:
            rotated, until = rotate(
                endpoint.pk,
                key,
                overlap_hours=given["overlap_hours"],
                actor=actor_of(request),
                reason=given.get("reason", ""),
            )
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        found = {
            "secret": rotated.secret if key == Key.SECRET else None,
            "public_key": rotated.public_key,
            "former_signs_until": until,
        }
        return Response(RotatedSerializer(found).data, headers={"Cache-Control": "no-store"})

    @extend_schema(request=PauseSerializer, responses={200: BacklogSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **_kwargs: Any) -> Response:
        """Call it no more until it is resumed; the answer tells what waits."""
        endpoint, given = self._asked(PauseSerializer)
        switch.pause(Endpoint, [endpoint.pk], actor_of(request), given.get("reason", ""))
        return self._backlog(backlog.preview(endpoint))

    @extend_schema(request=ResumeSerializer, responses={200: BacklogSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_kwargs: Any) -> Response:
        """Call it again; what waits goes first and in order, at a rate if one is given."""
        endpoint, given = self._asked(ResumeSerializer)
        per_minute = given.get("per_minute")
        resumed = switch.resume(
            Endpoint, [endpoint.pk], actor_of(request), per_minute=per_minute, reason=given.get("reason", "")
        )
        found = resumed[0][1] if resumed else backlog.preview(endpoint)
        return self._backlog(found, per_minute if resumed else None)

    def _asked(self, kind: type[PauseSerializer]) -> tuple[Endpoint, dict[str, Any]]:
        """Return the endpoint, and what was sent; a 400 names what is wrong with it."""
        require(self.request, "notifications.change_endpoint")
        endpoint, serializer = self.get_object(), kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return endpoint, serializer.validated_data

    @staticmethod
    def _warn(serializer: serializers.BaseSerializer[Any]) -> None:
        endpoint: Any = serializer.instance
        if {"base_url", "token_url"} & set(serializer.validated_data):
            endpoint.warnings = warnings_of(endpoint)

    def _backlog(self, found: Backlog, per_minute: int | None = None) -> Response:
        told = {name: getattr(found, name) for name in ("deliveries", "in_lanes", "lanes", "oldest")}
        state = diagnose.state(self.get_object()).value
        minutes = found.minutes(per_minute) if per_minute else None
        return Response(BacklogSerializer({"state": state, **told, "minutes": minutes}).data)
