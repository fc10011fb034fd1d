"""Managing queues, subscribers and grants."""

from rest_framework import serializers

from events.models import EventType, Grant, Queue, Subscriber

from .base import ConfigViewSet, ModelSerializer


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
