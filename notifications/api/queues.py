"""Queues with what needs deliveries: reading messages from them, and changing their order."""

from typing import Any

import msgspec
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from events import problems
from events.api.base import Strict
from events.api.configuration import QueueViewSet
from events.api.describe import ProblemSerializer
from events.api.wire import JSON
from events.models import ApiKey, Event, Queue, Scope, Subscriber
from events.refusals import StateConflict
from notifications import pull
from notifications.envelope import timestamp
from notifications.models import Delivery
from notifications.reorder import refuse_reordering

from .problems import PROBLEMS


class QueueWithLanesViewSet(QueueViewSet):
    """Queues, and which event types flow into them."""

    @transaction.atomic
    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save the change; whether it is in order changes only while nothing waits."""
        queue: Any = serializer.instance
        if serializer.validated_data.get("is_ordered", queue.is_ordered) != queue.is_ordered:
            refuse_reordering(queue)
        super().perform_update(serializer)


class MessageSerializer(serializers.Serializer[Delivery]):
    """One callout, as it is read from the queue."""

    id = serializers.CharField(
        help_text="dlv_…, the webhook-id: the same where it is sent to the endpoint too."
    )
    cursor = serializers.CharField(help_text="The place right behind it.")
    subscription = serializers.IntegerField()
    body = serializers.DictField(
        help_text="The standard body of a callout, its `data` byte for byte; no parameters."
    )

    def to_representation(self, instance: Delivery) -> dict[str, Any]:
        """Return it with its payload as it was published."""
        event = instance.event
        body = {
            "id": event.public_id,
            "type": event.type.code,
            "timestamp": timestamp(event.occurred_at),
            "queue": self.context["queue"],
            "ordering_key": event.ordering_key,
            "sequence": instance.sequence,
            "data": msgspec.Raw(event.data.encode()),
        }
        return {
            "id": instance.public_id,
            "cursor": pull.cursor_of(instance).text,
            "subscription": instance.subscription_id,
            "body": body,
        }


class MessagesSerializer(serializers.Serializer[Any]):
    """Messages in their order."""

    messages = MessageSerializer(many=True)
    cursor = serializers.CharField(
        help_text="The place behind the last one: acknowledge it, or read on after it."
    )
    has_more = serializers.BooleanField()
    acknowledged = serializers.CharField(help_text="How far the queue is acknowledged; empty: not at all.")


class AckSerializer(Strict):
    """How far is read."""

    cursor = serializers.CharField(max_length=40, help_text="Of a message, or of a page of them.")


class AcknowledgedSerializer(serializers.Serializer[Any]):
    """How far the queue is acknowledged now."""

    acknowledged = serializers.CharField()


class _Pull(generics.GenericAPIView[Queue]):
    queryset = Queue.objects.all()
    permission_model = Event
    renderer_classes = [JSON]
    lookup_field = "name"

    def reader(self) -> Subscriber:
        """Return whose messages they are: the subscriber of the key."""
        key: Any = self.request.auth
        if not isinstance(key, ApiKey):
            raise PermissionDenied("Messages are read with an API key: they are those of its subscriber.")
        return key.subscriber

    @staticmethod
    def cursor(text: str, field: str) -> pull.Cursor:
        """Return the cursor that was given; a 400 names a wrong one."""
        try:
            return pull.parse(text)
        except ValueError:
            told = "This is no cursor; give one as it was answered."
            raise serializers.ValidationError({field: told}) from None


class MessagesView(_Pull):
    """Read a queue."""

    required_scopes = {"GET": Scope.EVENTS_READ}
    serializer_class = MessagesSerializer

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "after", str, description="A cursor. Default: what is acknowledged. `start`: the first kept."
            ),
            OpenApiParameter("limit", int, description=f"1 to {pull.MOST}. Default: 100."),
        ],
        responses={200: MessagesSerializer, (410, problems.CONTENT_TYPE): ProblemSerializer, **PROBLEMS},
    )
    def get(self, request: Request, **_kwargs: Any) -> Response:
        """Read your own messages in their order, whether or not your endpoint took them; nothing is ever skipped."""
        queue, reader = self.get_object(), self.reader()
        if unknown := sorted(set(request.query_params) - {"after", "limit"}):
            raise serializers.ValidationError(
                dict.fromkeys(unknown, "Unknown query parameter; there are: after, limit.")
            )
        limit = request.query_params.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= pull.MOST):
            raise serializers.ValidationError({"limit": f"Write a number from 1 to {pull.MOST}."})
        done = pull.acknowledged(reader, queue)
        asked = request.query_params.get("after", "")
        after = done if not asked else pull.START if asked == "start" else self.cursor(asked, "after")
        try:
            page = pull.read(reader, queue, after, limit=int(limit))
        except pull.Outdated as gone:
            told = (
                "What came after this cursor is kept no longer: the oldest that is kept was made at "
                f"{timestamp(gone.begins_at)}. Read on with after=start, and ask the publisher for what is missing."
            )
            return problems.answer(problems.document(410, told) | {"oldest": gone.begins_at})
        last = pull.cursor_of(page.deliveries[-1]) if page.deliveries else after
        messages: Any = MessageSerializer(context={"queue": queue.name})
        return Response(
            {
                "messages": [messages.to_representation(each) for each in page.deliveries],
                "cursor": last.text,
                "has_more": page.has_more,
                "acknowledged": done.text,
            }
        )


class AckView(_Pull):
    """Acknowledge what was read."""

    required_scopes = {"POST": Scope.EVENTS_READ}
    serializer_class = AckSerializer

    @extend_schema(
        request=AckSerializer,
        responses={200: AcknowledgedSerializer, **PROBLEMS},
        examples=[OpenApiExample("ack", value={"cursor": "1042-1790000000000000"}, request_only=True)],
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        """Move your cursor, forward only; the next read without `after` begins there. Nothing else changes."""
        queue, reader = self.get_object(), self.reader()
        given = AckSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        to = self.cursor(given.validated_data["cursor"], "cursor")
        newest = Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        if to.position > newest:
            raise StateConflict("Nothing was read that far yet.", state=pull.acknowledged(reader, queue).text)
        return Response({"acknowledged": pull.acknowledge(reader, queue, to).text})
