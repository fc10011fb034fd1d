"""Managing queues, subscribers and grants."""

from typing import Any

from rest_framework import serializers

from events.models import EventType, Grant, Queue, Subscriber

from .base import ConfigViewSet, ModelSerializer
from .keys import beyond


class QueueSerializer(ModelSerializer):
    """A queue; `event_types` are the codes of the types that flow into it."""

    event_types = serializers.SlugRelatedField(
        "code", many=True, required=False, queryset=EventType.objects.all()
    )

    class Meta:
        model = Queue
        fields = ["id", "name", "description", "is_ordered", "is_paused", "event_types"]
        validators: list[object] = []


class SubscriberSerializer(ModelSerializer):
    """A subscriber."""

    class Meta:
        model = Subscriber
        fields = ["id", "name", "contact_email", "notes", "is_active", "created_at"]
        validators: list[object] = []


class GrantSerializer(ModelSerializer):
    """What a subscriber may do with the entries of a queue."""

    queue = serializers.SlugRelatedField("name", queryset=Queue.objects.all())

    class Meta:
        model = Grant
        fields = ["id", "subscriber", "queue", "can_create", "can_update", "can_delete", "others_entries"]
        validators: list[object] = []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A key gives no more than it may do itself; then as the admin does."""
        given = {
            f"can_{verb}": f"events:{verb}"
            for verb in ("create", "update", "delete")
            if attrs.get(f"can_{verb}") and not getattr(self.instance, f"can_{verb}", False)
        }
        lacking = beyond(self.context["request"].auth, set(given.values()))
        if wrong := {name: scope for name, scope in given.items() if scope in lacking}:
            told = "The key that asks does not have {} itself, and can grant nothing that needs it."
            raise serializers.ValidationError({name: told.format(scope) for name, scope in wrong.items()})
        return super().validate(attrs)


class QueueViewSet(ConfigViewSet):
    """Queues, and which event types flow into them."""

    queryset = Queue.objects.prefetch_related("event_types")
    serializer_class = QueueSerializer
    lookup_field = "name"
    lookup_value_regex = "[a-z0-9-]+"
    filterset_fields = ["is_ordered", "is_paused"]


class SubscriberViewSet(ConfigViewSet):
    """Subscribers: external systems and teams."""

    queryset = Subscriber.objects.all()
    serializer_class = SubscriberSerializer
    filterset_fields = ["name", "is_active"]


class GrantViewSet(ConfigViewSet):
    """Grants: what a subscriber may do on a queue."""

    queryset = Grant.objects.select_related("queue")
    serializer_class = GrantSerializer
    filterset_fields = ["subscriber", "queue__name"]
