"""Reading the catalog."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import generics, serializers

from events.models import EventType, Scope, Token

from .base import OldestFirst
from .wire import JSON


class ByCode(OldestFirst):
    """Pages in the order of the codes."""

    ordering = "code"


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token of an event type."""

    class Meta:
        model = Token
        fields = ["name", "group", "kind", "description", "sample", "email_only"]


class EventTypeSerializer(serializers.ModelSerializer[EventType]):
    """An event type with its tokens, its JSON Schema and a sample payload."""

    queues: Any = serializers.SlugRelatedField("name", many=True, read_only=True)
    tokens = TokenSerializer(many=True, read_only=True)
    ordering_key = serializers.SerializerMethodField(help_text="How it is made, e.g. account:<account.id>.")

    class Meta:
        model = EventType
        fields = [
            "code",
            "label",
            "description",
            "resource",
            "operation",
            "category",
            "ordering_key",
            "queues",
            "is_builtin",
            "is_active",
            "tokens",
            "schema",
            "sample",
        ]

    @extend_schema_field(str)
    def get_ordering_key(self, event_type: EventType) -> str:
        """Return the rule, or nothing where the publisher has to give the key."""
        if not event_type.ordering_prefix:
            return ""
        return f"{event_type.ordering_prefix}:<{event_type.ordering_path}>"


class _Catalog(generics.GenericAPIView[EventType]):
    queryset = EventType.objects.prefetch_related("tokens", "queues")
    permission_model = EventType
    required_scopes = {"GET": Scope.EVENTS_READ}
    serializer_class = EventTypeSerializer
    renderer_classes = [JSON]


class EventTypesView(_Catalog, generics.ListAPIView[EventType]):
    """The event types that can be published."""

    pagination_class = ByCode
    filterset_fields: dict[str, Any] = {
        "category": ["exact"],
        "operation": ["exact"],
        "is_active": ["exact"],
        "is_builtin": ["exact"],
    }


class EventTypeView(_Catalog, generics.RetrieveAPIView[EventType]):
    """One event type, by its code."""

    lookup_field = "code"
