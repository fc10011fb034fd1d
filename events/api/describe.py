"""How an event looks from outside."""

from typing import Any

import msgspec
from rest_framework import serializers

from events import catalog_cache
from events.models import Event


def brief(event: Event) -> dict[str, Any]:
    """Return what publishing answers with."""
    entry = catalog_cache.get(event.type_id)
    if event.queue_id is None:
        queues = [target.name for target in entry.queues]
    else:
        # Unrouted since: only the row still knows its name.
        queues = [target.name for target in entry.queues if target.id == event.queue_id]
        queues = queues or ([event.queue.name] if event.queue else [])
    return {
        "id": event.public_id,
        "type": entry.code,
        "account": event.account,
        "ordering_key": event.ordering_key,
        "queues": queues,
        "occurred_at": event.occurred_at,
        "created_at": event.created_at,
        "deliver_at": event.deliver_at,
        "idempotency_key": event.idempotency_key,
    }


def full(event: Event) -> dict[str, Any]:
    """Return everything; `data` is written byte for byte as it was published."""
    return brief(event) | {
        "source": event.source,
        "publisher": event.publisher.name if event.publisher else None,
        "data": msgspec.Raw(event.data.encode()),
    }


class EventDraftSerializer(serializers.Serializer[Any]):
    """An event to publish (for the documentation: `envelope.read` is what reads it)."""

    type = serializers.CharField(help_text="Code of the event type, e.g. invoice.posted.")
    data = serializers.DictField(  # type: ignore[assignment]
        help_text="The payload; kept byte for byte. At most 256 KB, 32 levels deep."
    )
    account = serializers.CharField(required=False, help_text="Default: account.id in the data.")
    ordering_key = serializers.CharField(required=False, help_text="Default: by the event type's rule.")
    queue = serializers.CharField(required=False, help_text="Only this queue, not all routed ones.")
    idempotency_key = serializers.CharField(required=False, help_text="Or the Idempotency-Key header.")
    occurred_at = serializers.DateTimeField(required=False, help_text="Default: now.")
    deliver_at = serializers.DateTimeField(required=False, help_text="Deliver nothing before.")


class BriefEventSerializer(serializers.Serializer[Event]):
    """An event without its payload."""

    id = serializers.CharField(help_text="evt_…")
    type = serializers.CharField()
    account = serializers.CharField()
    ordering_key = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField())
    occurred_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    deliver_at = serializers.DateTimeField(allow_null=True)
    idempotency_key = serializers.CharField()

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return `brief(event)`."""
        return brief(instance)


class EventSerializer(BriefEventSerializer):
    """An event."""

    source = serializers.ChoiceField(choices=Event.Source.choices)  # type: ignore[assignment]
    publisher = serializers.CharField(allow_null=True, help_text="Name of the subscriber; null: the system.")
    data = serializers.DictField()  # type: ignore[assignment]

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return `full(event)`."""
        return full(instance)


class BatchSerializer(serializers.Serializer[Any]):
    """Events to publish in order; a bare list is taken too."""

    events = EventDraftSerializer(many=True)


class FaultSerializer(serializers.Serializer[Any]):
    """One fault of a request."""

    field = serializers.CharField(help_text="JSON pointer into what was sent.")
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FaultSerializer(many=True, required=False)  # type: ignore[assignment]


class ResultSerializer(serializers.Serializer[Any]):
    """What became of one event of a batch: 201 or 200 with the event, else the problem."""

    status = serializers.IntegerField()
    event = BriefEventSerializer(required=False)
    problem = ProblemSerializer(required=False)


class BatchResultSerializer(serializers.Serializer[Any]):
    """What became of a batch, in its order."""

    created = serializers.IntegerField()
    repeated = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = ResultSerializer(many=True)
