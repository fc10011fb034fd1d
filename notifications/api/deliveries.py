"""Reading deliveries, their attempts and what was sent."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import generics, serializers

from events import ids
from events.api.base import NewestFirst
from events.api.wire import JSON
from events.models import Scope
from notifications import collected
from notifications.advice import advise, url_of
from notifications.curl import command
from notifications.models import Attempt, Delivery, RenderedBody
from notifications.parameters import without_markers

from .visibility import delivery_of, visible_deliveries


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The query parameters of the delivery list."""

    status = django_filters.MultipleChoiceFilter(choices=Delivery.Status.choices)
    event = django_filters.CharFilter(method="of_event", help_text="evt_…")
    subscription = django_filters.NumberFilter("subscription_id")
    endpoint = django_filters.NumberFilter("subscription__endpoint_id")
    recipient = django_filters.CharFilter("recipient")
    ordering_key = django_filters.CharFilter("event__ordering_key")
    hold_cause = django_filters.ChoiceFilter(choices=Delivery.HoldCause.choices)
    digest = django_filters.CharFilter(method="of_digest", help_text="dlv_…: what this digest carries")
    created_after = django_filters.IsoDateTimeFilter("created_at", "gte")
    created_before = django_filters.IsoDateTimeFilter("created_at", "lt")

    def of_event(self, deliveries: QuerySet[Delivery], _name: str, text: str) -> QuerySet[Delivery]:
        """The deliveries of one event."""
        uid = ids.parse("evt", text)
        return deliveries.filter(event__uid=uid) if uid else deliveries.none()

    def of_digest(self, deliveries: QuerySet[Delivery], _name: str, text: str) -> QuerySet[Delivery]:
        """The deliveries that one digest carries."""
        uid = ids.parse("dlv", text)
        return deliveries.filter(collected__digest__delivery__uid=uid) if uid else deliveries.none()


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One event on its way to one recipient of one subscription."""

    id = serializers.CharField(source="public_id", help_text="dlv_…, the webhook-id.")
    event = serializers.CharField(source="event.public_id")
    event_type = serializers.CharField(source="event.type.code")
    ordering_key = serializers.CharField(source="event.ordering_key")
    subscription_name = serializers.CharField(source="subscription.name")
    digest = serializers.SerializerMethodField(
        help_text="dlv_…, the digest that it went or goes out in; null while that collects, and without storm control."
    )
    digest_due_at = serializers.SerializerMethodField(
        help_text="When the digest goes out that it is collected for; null where there is none."
    )

    class Meta:
        model = Delivery
        fields = [
            "id",
            "event",
            "event_type",
            "ordering_key",
            "subscription",
            "subscription_name",
            "recipient",
            "status",
            "hold_cause",
            "sequence",
            "due_at",
            "attempt_count",
            "last_error",
            "digest",
            "digest_due_at",
            "created_at",
            "settled_at",
        ]

    def get_digest(self, delivery: Delivery) -> str | None:
        """Return the id of the digest's delivery, once there is one."""
        digest = collected.digest_of(delivery)
        return digest.delivery.public_id if digest and digest.delivery else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_digest_due_at(self, delivery: Delivery) -> str | None:
        """Return the end of the period that it is collected in."""
        digest = collected.digest_of(delivery)
        waits = digest is not None and collected.is_collected(delivery)
        return serializers.DateTimeField().to_representation(digest.due_at) if digest and waits else None


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One try of a delivery; times in milliseconds, null for what did not come to its end or was not needed."""

    remedy = serializers.SerializerMethodField(help_text="What would mend it; empty if nothing is known to.")

    class Meta:
        model = Attempt
        fields = [
            "id",
            "number",
            "verdict",
            "status_code",
            "error_class",
            "detail",
            "duration_ms",
            "is_reused",
            "dns_ms",
            "connect_ms",
            "tls_ms",
            "first_byte_ms",
            "remedy",
            "address",
            "request_headers",
            "response_headers",
            "response_body",
            "is_fenced",
            "started_at",
        ]

    def get_remedy(self, attempt: Attempt) -> str:
        """Return what would mend it; of an email, nothing is known here."""
        return advise(attempt).remedy if url_of(attempt.request_headers) else ""


class RenderedSerializer(serializers.ModelSerializer[RenderedBody]):
    """What is sent on every attempt, to the byte; secret parameters are masked."""

    class Meta:
        model = RenderedBody
        fields = ["body", "headers", "query"]

    def to_representation(self, instance: RenderedBody) -> dict[str, Any]:
        """Return it without the markers that stand for secrets."""
        of = instance.delivery.public_id

        def pairs(rows: list[list[str]]) -> list[list[str]]:
            return [[name, without_markers(value, of)] for name, value in rows]

        return {
            "body": without_markers(instance.body, of),
            "headers": pairs(instance.headers),
            "query": pairs(instance.query),
        }


class DeliveryDetailSerializer(DeliverySerializer):
    """A delivery with its attempts, oldest first, and its rendered body (null until it is rendered)."""

    attempts = serializers.SerializerMethodField()
    _kept: list[RenderedBody | None] | None = None  # for the one delivery that this serializer is made for

    rendered = serializers.SerializerMethodField()
    curl = serializers.SerializerMethodField(
        help_text="The last attempt that sent something, as a command; secrets are masked. Empty for email."
    )

    class Meta(DeliverySerializer.Meta):
        fields = [*DeliverySerializer.Meta.fields, "attempts", "rendered", "curl"]

    @extend_schema_field(AttemptSerializer(many=True))
    def get_attempts(self, delivery: Delivery) -> Any:
        """Return every try of it."""
        return AttemptSerializer(delivery.attempts.order_by("started_at", "number"), many=True).data

    @extend_schema_field(RenderedSerializer(allow_null=True))
    def get_rendered(self, delivery: Delivery) -> Any:
        """Return what is sent, once it is rendered."""
        rendered = self._body(delivery)
        return RenderedSerializer(rendered).data if rendered else None

    def get_curl(self, delivery: Delivery) -> str:
        """Return the command, once something was sent."""
        rendered = self._body(delivery)
        last = delivery.attempts.exclude(request_headers="").order_by("-started_at").first()
        return command(last.request_headers, rendered.body) if last and rendered else ""

    def _body(self, delivery: Delivery) -> RenderedBody | None:
        if self._kept is None:
            self._kept = [RenderedBody.objects.filter(delivery=delivery).select_related("delivery").first()]
        return self._kept[0]


class _Deliveries(generics.GenericAPIView[Delivery]):
    queryset = Delivery.objects.all()
    permission_model = Delivery
    required_scopes = {"GET": Scope.DELIVERIES_READ}
    renderer_classes = [JSON]

    def get_queryset(self) -> QuerySet[Delivery]:
        """Those that the caller may see."""
        return visible_deliveries(self.request)


class DeliveriesView(_Deliveries, generics.ListAPIView[Delivery]):
    """Deliveries, newest first."""

    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    pagination_class = NewestFirst


class DeliveryView(_Deliveries, generics.RetrieveAPIView[Delivery]):
    """One delivery, with its attempts and what was sent."""

    serializer_class = DeliveryDetailSerializer

    def get_object(self) -> Delivery:
        """Return the delivery of the id in the path, or a 404."""
        return delivery_of(self.request, self.kwargs["public_id"])
