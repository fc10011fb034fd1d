"""What a callout would be, for programs: POST a draft or name a subscription, and read body, headers and query."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from events import ids
from events.api.base import Strict
from events.api.wire import JSON
from events.models import ApiKey, Event, EventType, Queue, Scope
from notifications import preview, sample, vet_callout
from notifications.models import Parameter, Subscription
from notifications.tokens import offer

from .subscriptions import ParameterSerializer


class PreviewSerializer(Strict):
    """With which event, and of which subscription or draft; what is given replaces what the subscription has."""

    event_type = serializers.SlugRelatedField(
        "code", queryset=EventType.objects.all(), required=False, help_text="With the sample of this type."
    )
    event = serializers.CharField(required=False, help_text="With this past event, evt_….")
    subscription: Any = serializers.PrimaryKeyRelatedField(
        queryset=Subscription.objects.select_related("queue", "endpoint"), required=False
    )
    queue = serializers.SlugRelatedField("name", queryset=Queue.objects.all(), required=False)
    payload_template = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    parameters = ParameterSerializer(many=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of event type and event, and an event that there is."""
        if ("event_type" in attrs) == ("event" in attrs):
            raise serializers.ValidationError({"event_type": "Give either an event type or a past event."})
        if "event" in attrs:
            uid = ids.parse("evt", attrs["event"])
            found = Event.objects.select_related("type").filter(uid=uid).first() if uid else None
            if found is None:
                raise serializers.ValidationError({"event": "There is no such event; ids begin with evt_."})
            attrs["event"], attrs["event_type"] = found, found.type
        return attrs


class PreviewedSerializer(serializers.Serializer[Any]):
    """What would be sent. Secrets are masked; the standard headers come beside those listed."""

    event_type = serializers.CharField()
    headers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    query = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    body = serializers.CharField(help_text="The JSON text, byte for byte.")


class PreviewView(generics.GenericAPIView[Subscription]):
    """Previews of callouts; nothing is sent and nothing is kept."""

    queryset = Subscription.objects.all()
    serializer_class = PreviewSerializer
    permission_model = Subscription
    required_scopes = {"POST": Scope.CONFIG_READ}
    renderer_classes = [JSON]

    @extend_schema(request=PreviewSerializer, responses={200: PreviewedSerializer})
    def post(self, request: Request) -> Response:
        """Return the callout that a draft or a subscription would make of a sample or of a past event."""
        if isinstance(request.data, Mapping) and "event" in request.data:
            self._may_read_events(request)
        serializer = PreviewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        try:
            draft, is_ordered = _draft(asked)
            event = asked.get("event")
            claimed = (
                sample.of_event(event, is_ordered=is_ordered)
                if event
                else sample.of_sample(asked["event_type"], is_ordered=is_ordered)
            )
            made = preview.preview(draft, claimed)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response(
            {
                "event_type": asked["event_type"].code,
                "headers": made.headers,
                "query": made.query,
                "body": made.body,
            }
        )

    def _may_read_events(self, request: Request) -> None:
        if isinstance(request.auth, ApiKey):
            if Scope.EVENTS_READ not in request.auth.scopes:
                raise PermissionDenied(f"A past event needs the scope {Scope.EVENTS_READ}.")
        elif not request.user.has_perm("events.view_event"):
            raise PermissionDenied("A past event needs the permission events.view_event.")


def _draft(asked: dict[str, Any]) -> tuple[preview.Draft, bool]:
    """Return the draft, checked as it would be at save, and whether its queue is in order."""
    saved: Subscription | None = asked.get("subscription")
    rows = [Parameter(**row) for row in asked["parameters"]] if "parameters" in asked else None
    if rows is None:
        rows = list(saved.parameters.all()) if saved else []
    template = asked.get("payload_template", saved.payload_template if saved else "")
    draft = Subscription(payload_template=template, endpoint=saved.endpoint if saved else None)
    offered = offer([asked["event_type"]], medium="webhook")
    _at("parameters", vet_callout.check_parameters, draft, rows)
    for row in rows:
        _at("parameters", vet_callout.check_parameter, row, offered)
    _at("payload_template", vet_callout.check_payload_template, draft, offered, rows)
    queue = asked.get("queue") or (saved.queue if saved else None)
    name, is_ordered = (queue.name, queue.is_ordered) if queue else ("preview", True)
    return preview.Draft.of(name, template, rows), is_ordered


def _at(field: str, check: Any, *arguments: object) -> None:
    try:
        check(*arguments)
    except DjangoValidationError as error:
        raise DjangoValidationError({field: error.messages}) from error
