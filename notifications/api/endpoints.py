"""Managing webhook endpoints."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.base import ConfigViewSet, ModelSerializer
from notifications.models import Endpoint


class EndpointSerializer(ModelSerializer):
    """A webhook receiver; its signing secret is shown once, in the answer that creates it."""

    url = serializers.CharField(read_only=True, help_text="Base URL and path, joined: what is called.")

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
            "is_active",
            "paused_reason",
            "created_at",
            "updated_at",
        ]
        validators: list[object] = []


class CreatedEndpointSerializer(EndpointSerializer):
    """A new endpoint, with its signing secret."""

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]
        extra_kwargs: dict[str, Any] = {"secret": {"read_only": True}}


class EndpointViewSet(ConfigViewSet):
    """Webhook endpoints."""

    queryset = Endpoint.objects.all()
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
