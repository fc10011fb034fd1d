"""What receivers need of an event type: the JSON Schema of its callouts, and a sample of one."""

import json
from typing import Any

import msgspec
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.catalog import EventTypeSerializer, EventTypesView, EventTypeView
from events.api.wire import JSON
from events.models import EventType, Scope
from notifications import callout_schema


class EventTypeWithCalloutSerializer(EventTypeSerializer):
    """An event type, with links to what its callouts look like."""

    callout_schema = serializers.SerializerMethodField(help_text="JSON Schema of a callout, to download.")
    callout_sample = serializers.SerializerMethodField(help_text="A sample callout, to download.")

    class Meta(EventTypeSerializer.Meta):
        fields = [*EventTypeSerializer.Meta.fields, "callout_schema", "callout_sample"]

    def get_callout_schema(self, event_type: EventType) -> str:
        """Return its address."""
        return self._link("callout-schema", event_type)

    def get_callout_sample(self, event_type: EventType) -> str:
        """Return its address."""
        return self._link("callout-sample", event_type)

    def _link(self, name: str, event_type: EventType) -> str:
        path = reverse(name, args=[event_type.code])
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


class EventTypesWithCalloutView(EventTypesView):
    """The event types that can be published."""

    serializer_class = EventTypeWithCalloutSerializer


class EventTypeWithCalloutView(EventTypeView):
    """One event type, by its code."""

    serializer_class = EventTypeWithCalloutSerializer


class _Download(generics.GenericAPIView[EventType]):
    queryset = EventType.objects.prefetch_related("tokens")
    lookup_field = "code"
    permission_model = EventType
    required_scopes = {"GET": Scope.EVENTS_READ}
    renderer_classes = [JSON]
    file_name = ""

    def download(self, event_type: EventType, content: dict[str, Any]) -> Response:
        """Return JSON to be kept as a file."""
        text = json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
        name = f"{event_type.code}.{self.file_name}.json"
        return Response(msgspec.Raw(text), headers={"Content-Disposition": f'attachment; filename="{name}"'})


class CalloutSchemaView(_Download):
    """The JSON Schema (draft 2020-12) of a whole callout of one event type."""

    file_name = "schema"

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, _request: Request, **_kwargs: Any) -> Response:
        """Return the schema as a file."""
        event_type = self.get_object()
        return self.download(event_type, callout_schema.schema(event_type))


class CalloutSampleView(_Download):
    """A sample callout of one event type, as a receiver gets it."""

    file_name = "sample"

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, _request: Request, **_kwargs: Any) -> Response:
        """Return the sample as a file."""
        event_type = self.get_object()
        return self.download(event_type, callout_schema.sample_callout(event_type))
