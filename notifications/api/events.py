"""An event with its deliveries, which its own app knows nothing of."""

from typing import Any

from events.api.describe import EventSerializer
from events.api.events import EventView
from events.models import Event
from notifications.models import Delivery

from .deliveries import DeliverySerializer


class EventWithDeliveriesSerializer(EventSerializer):
    """An event and how it went."""

    deliveries = DeliverySerializer(many=True)

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return the event with its deliveries, oldest first."""
        deliveries = (
            Delivery.objects.filter(event=instance)
            .select_related("event__type", "subscription")
            .order_by("id")
        )
        return super().to_representation(instance) | {
            "deliveries": DeliverySerializer(deliveries, many=True).data
        }


class EventWithDeliveriesView(EventView):
    """One event, with its deliveries."""

    serializer_class = EventWithDeliveriesSerializer
