"""An event with its deliveries, which its own app knows nothing of; changing and cancelling it."""

import re
from collections import Counter
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample, extend_schema
from msgspec import UNSET, UnsetType
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from events import ids
from events.api import envelope
from events.api.describe import EventSerializer
from events.api.events import EventView
from events.api.wire import RawBody
from events.models import Event, Scope, WithheldEvent
from events.refusals import InvalidField, StateConflict
from events.visibility import confined_to
from notifications.amend import Change, amend
from notifications.models import Delivery
from notifications.take_back import take_back

from .deliveries import DeliverySerializer
from .problems import PROBLEMS
from .visibility import visible_deliveries


class EventWithDeliveriesSerializer(EventSerializer):
    """An event and how it went."""

    held = serializers.BooleanField(help_text="Held by its publisher.")
    cancelled_at = serializers.DateTimeField(allow_null=True, help_text="Before any of it was delivered.")
    blocked_lanes = serializers.IntegerField(help_text="In-order lanes that wait because it is held.")
    deliveries = DeliverySerializer(many=True)

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return the event with its deliveries, oldest first."""
        every = (
            Delivery.objects.filter(event=instance)
            .select_related("event__type", "subscription", "lane")
            .order_by("id")
        )
        withheld = WithheldEvent.objects.filter(event=instance).first()
        held = [row for row in every if row.hold_cause == Delivery.HoldCause.PUBLISHER]
        is_cancelled = withheld is not None and withheld.cause == WithheldEvent.Cause.CANCELLED
        request = self.context.get("request")
        seen = set(visible_deliveries(request).filter(event=instance).values_list("pk", flat=True))
        told = DeliverySerializer([row for row in every if row.pk in seen], many=True).data
        return super().to_representation(instance) | {
            "held": bool(held) or (withheld is not None and not is_cancelled),
            "cancelled_at": withheld.since if withheld and is_cancelled else None,
            "blocked_lanes": sum(
                row.lane is not None and row.lane.next_sequence == row.sequence for row in held
            ),
            "deliveries": told,
        }


class ChangeSerializer(serializers.Serializer[Any]):
    """What to change of an event (for the documentation: msgspec reads it, so that the payload keeps its bytes)."""

    data = serializers.DictField(required=False, help_text="The whole new payload; kept byte for byte.")  # type: ignore[assignment]
    deliver_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Deliver nothing before; null: at once."
    )
    held = serializers.BooleanField(
        required=False, help_text="true: nothing is sent until it is false; in-order lanes wait behind it."
    )


class ChangedEventSerializer(EventWithDeliveriesSerializer):
    """The event as it is now."""

    data = serializers.DictField(  # type: ignore[assignment]
        required=False, help_text="Left out for the key of a subscriber that did not publish it."
    )


class TakenBackSerializer(serializers.Serializer[Any]):
    """What became of an event's deliveries; the counts add up to all of them, but for `tried`."""

    id = serializers.CharField(help_text="evt_…")
    state = serializers.ChoiceField(
        choices=["cancelled", "partly_sent"], help_text="partly_sent: some of it arrived, or is in flight."
    )
    cancelled = serializers.IntegerField(help_text="By this call.")
    tried = serializers.IntegerField(help_text="Of those: failed before, and may have arrived nevertheless.")
    in_flight = serializers.IntegerField(help_text="Not cancelled: on their way, alone or in a digest.")
    delivered = serializers.IntegerField(help_text="Alone or in a digest.")
    ended_before = serializers.IntegerField(help_text="Dead, skipped, suppressed or cancelled already.")


class _Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    data: msgspec.Raw | UnsetType = UNSET
    deliver_at: envelope.Moment | UnsetType | None = UNSET
    held: bool | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(_Change)
_DELIVERY = re.compile(r"dlv_[0-9a-f]{32}")
_OTHERS = "dlv_… of another subscriber"


class EventWithDeliveriesView(EventView):
    """One event, with its deliveries."""

    required_scopes = {
        "GET": Scope.EVENTS_READ,
        "PATCH": Scope.EVENTS_UPDATE,
        "DELETE": Scope.EVENTS_DELETE,
    }
    serializer_class = EventWithDeliveriesSerializer
    parser_classes = [RawBody]

    @extend_schema(
        request=ChangeSerializer,
        responses={200: ChangedEventSerializer, **PROBLEMS},
        examples=[
            OpenApiExample("hold", value={"held": True}, request_only=True),
            OpenApiExample("another time", value={"deliver_at": "2026-12-01T08:00:00Z"}, request_only=True),
        ],
    )
    def patch(self, request: Request, **_kwargs: Any) -> Response:
        """Amend, reschedule, hold or release an event while nothing of it was sent; afterwards 409 names what was."""
        event = self.get_object()
        body = request.data if isinstance(request.data, bytes) else b""
        given = envelope.decode(_DECODER, body, "a change", _Change)
        if given == _Change():
            raise InvalidField("Give at least one of: data, deliver_at, held.", field="")
        change = Change(
            data=None if given.data is UNSET else bytes(given.data),
            reschedules=given.deliver_at is not UNSET,
            deliver_at=None if given.deliver_at is UNSET else given.deliver_at,
            held=None if given.held is UNSET else given.held,
        )
        try:
            amend(event.pk, change, request.user)
        except StateConflict as refusal:
            raise _without_others(refusal, request) from refusal
        told = dict(self.get_serializer(self.get_object()).data)
        if confined_to(request) not in (None, event.publisher_id):
            del told["data"]  # who may change another's event may not read it
        return Response(told)

    @extend_schema(responses={200: TakenBackSerializer, **PROBLEMS})
    def delete(self, request: Request, **_kwargs: Any) -> Response:
        """Cancel what has not been sent; what was sent stays on record, and the answer counts both."""
        event = self.get_object()
        counts = take_back(event.pk, request.user)
        told = {name: getattr(counts, name) for name in counts.__dataclass_fields__}
        return Response(TakenBackSerializer({"id": event.public_id, **told}).data)


def _without_others(refusal: StateConflict, request: Request) -> StateConflict:
    """Return the refusal without the ids of deliveries that the caller may not see: these are counted by state."""
    members: dict[str, Any] = dict(refusal.members)
    named = _DELIVERY.findall(f"{refusal.detail} {members}")
    uids = [uid for text in named if (uid := ids.parse("dlv", text))]
    seen = {row.public_id for row in visible_deliveries(request).filter(uid__in=uids)}

    def told(text: str) -> str:
        return _DELIVERY.sub(lambda found: found[0] if found[0] in seen else _OTHERS, text)

    if "sent" in members:
        others = Counter(told(each["state"]) for each in members["sent"] if each["id"] not in seen)
        counted = [{"state": state, "count": number} for state, number in others.items()]
        members["sent"] = [each for each in members["sent"] if each["id"] in seen] + counted
    if "deliveries" in members:
        members["deliveries_count"] = len(members["deliveries"])
        members["deliveries"] = [each for each in members["deliveries"] if each in seen]
    return StateConflict(told(refusal.detail), field=refusal.field, **members)
