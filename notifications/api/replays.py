"""Ordering replays, and seeing how far they are."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from events import ids, moments
from events.api.acting import actor_of
from events.api.base import NewestFirst, Strict, flag
from events.api.wire import JSON
from events.models import EventType, Scope
from events.visibility import confined_to
from notifications import replay as replays
from notifications.models import Delivery, Endpoint, Replay, Subscription
from notifications.replay import REPLAYABLE, Selection

from .problems import OPERATES, PROBLEMS
from .visibility import visible_deliveries

MOST_IDS = 1_000


def uids_of(request: Request, texts: list[str]) -> tuple[UUID, ...]:
    """Return what these delivery ids are inside; a 400 names those that the caller cannot see."""
    uids = {text: ids.parse("dlv", text) for text in texts}
    known = set(
        visible_deliveries(request)
        .filter(uid__in=[uid for uid in uids.values() if uid])
        .values_list("uid", flat=True)
    )
    if unknown := [text for text, uid in uids.items() if uid not in known]:
        told = ", ".join(unknown[:5])
        raise serializers.ValidationError({"ids": f"There is no such delivery: {told}. Give ids as dlv_…"})
    return tuple(sorted(known))


def _storable(moment: datetime) -> None:
    if not moments.is_storable(moment):
        raise serializers.ValidationError(moments.OUTSIDE)


class ReplayOrderSerializer(Strict):
    """Which deliveries to send again: `ids` alone, or a subscription or endpoint with what narrows it."""

    ids = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        allow_empty=False,
        max_length=MOST_IDS,
        help_text="dlv_…",
    )
    subscription = serializers.PrimaryKeyRelatedField(queryset=Subscription.objects.all(), required=False)
    endpoint = serializers.PrimaryKeyRelatedField(queryset=Endpoint.objects.all(), required=False)
    created_after = serializers.DateTimeField(
        required=False, validators=[_storable], help_text="Made from then on."
    )
    created_before = serializers.DateTimeField(
        required=False, validators=[_storable], help_text="Made earlier than that."
    )
    event_type = serializers.SlugRelatedField("code", queryset=EventType.objects.all(), required=False)
    ordering_key = serializers.CharField(required=False, max_length=200)
    statuses = serializers.ListField(
        child=serializers.ChoiceField([each.value for each in REPLAYABLE]),
        required=False,
        allow_empty=False,
        help_text="Default: all three. What is cancelled is never replayed, what waits is sent anyhow.",
    )
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ids stand alone; else something says whose deliveries."""
        if "ids" in attrs and (more := sorted(set(attrs) - {"ids", "reason", "statuses"})):
            raise serializers.ValidationError(
                {more[0]: "Give either ids or what selects deliveries, not both."}
            )
        if not {"ids", "subscription", "endpoint"} & set(attrs):
            raise serializers.ValidationError({"subscription": "Give ids, a subscription or an endpoint."})
        after, before = attrs.get("created_after"), attrs.get("created_before")
        if after and before and after >= before:
            raise serializers.ValidationError({"created_before": "It is not after created_after."})
        return attrs

    def validate_subscription(self, subscription: Subscription) -> Subscription:
        """One that the caller may see."""
        self._refuse_others(subscription, subscription.subscriber_id)
        return subscription

    def validate_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """One that the caller may see."""
        self._refuse_others(endpoint, endpoint.subscriber_id)
        return endpoint

    def _refuse_others(self, row: Subscription | Endpoint, subscriber_id: int) -> None:
        confined = confined_to(self.context["request"])
        if confined not in (None, subscriber_id):
            # As if there were none: it is another subscriber's.
            raise serializers.ValidationError(f'Invalid pk "{row.pk}" - object does not exist.')

    def selection(self) -> Selection:
        """Return what was asked for."""
        given = self.validated_data
        request = self.context["request"]
        event_type, subscription, endpoint = (
            given.get(name) for name in ("event_type", "subscription", "endpoint")
        )
        return Selection(
            ids=uids_of(request, given["ids"]) if "ids" in given else (),
            subscription_id=subscription.pk if subscription else None,
            endpoint_id=endpoint.pk if endpoint else None,
            created_after=given.get("created_after"),
            created_before=given.get("created_before"),
            event_type=event_type.code if event_type else "",
            ordering_key=given.get("ordering_key", ""),
            statuses=given.get("statuses", REPLAYABLE),
            subscriber_id=confined_to(request),
        )


class ReplaySerializer(serializers.ModelSerializer[Replay]):
    """A replay, and how far it is."""

    ids = serializers.SerializerMethodField(help_text="dlv_…, where it was ordered by ids.")
    progress = serializers.SerializerMethodField(help_text="Its deliveries by the status they have now.")

    class Meta:
        model = Replay
        fields = [
            "id", "status", "ids", "subscription", "endpoint", "created_after", "created_before", "event_type",
            "ordering_key", "after_sequence", "statuses", "total", "reopened", "left_alone", "progress",
            "actor_name", "reason", "created_at", "ended_at",
        ]  # fmt: skip

    def get_ids(self, replay: Replay) -> list[str]:
        """Return the public ids."""
        return [ids.public("dlv", uid) for uid in replay.ids]

    def get_progress(self, replay: Replay) -> dict[str, int]:
        """Return how many of its deliveries are in which status."""
        return dict(replays.progress(replay))


class ReplayPreviewSerializer(serializers.Serializer[Any]):
    """What a replay would do, were it ordered now."""

    total = serializers.IntegerField(help_text="Deliveries it would send again.")
    by_status = serializers.DictField(child=serializers.IntegerField())
    left_alone = serializers.DictField(
        child=serializers.IntegerField(), help_text="Found, and not replayed for their status."
    )


def answer(request: Request, selection: Selection, reason: str) -> Response:
    """Order the replay, or with `?dry_run=1` tell what it would do."""
    if flag(request, "dry_run"):
        return Response(ReplayPreviewSerializer(replays.preview(selection)).data)
    actor = actor_of(request)
    replay = replays.order(selection, actor, reason)
    return Response(ReplaySerializer(replay).data, status=status.HTTP_201_CREATED)


DRY_RUN = OpenApiParameter("dry_run", bool, description="Count what would be sent again, and send nothing.")


class _Replays(generics.GenericAPIView[Replay]):
    permission_model = Delivery
    permission_actions = OPERATES
    required_scopes = {"GET": Scope.DELIVERIES_READ, "POST": Scope.DELIVERIES_OPERATE}
    serializer_class = ReplaySerializer
    renderer_classes = [JSON]
    queryset = Replay.objects.all()

    def get_queryset(self) -> Any:
        """Those that the caller may see: of a subscriber's key, its own."""
        subscriber = confined_to(self.request)
        every = Replay.objects.all()
        return every if subscriber is None else every.filter(subscriber=subscriber)


class ReplaysView(_Replays, generics.ListAPIView[Replay]):
    """Replays, newest first."""

    pagination_class = NewestFirst
    filterset_fields = ["status", "subscription", "endpoint"]

    @extend_schema(
        request=ReplayOrderSerializer,
        parameters=[DRY_RUN],
        responses={201: ReplaySerializer, 200: ReplayPreviewSerializer, **PROBLEMS},
        examples=[
            OpenApiExample("by ids", value={"ids": ["dlv_0199…"], "reason": "lost by us"}, request_only=True),
            OpenApiExample(
                "an outage",
                value={
                    "subscription": 7,
                    "created_after": "2026-11-20T00:00:00Z",
                    "created_before": "2026-11-21T00:00:00Z",
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Send deliveries again, beside the live traffic: same id, same bytes, marked by `bellwether-replay`."""
        given = ReplayOrderSerializer(data=request.data, context={"request": request})
        given.is_valid(raise_exception=True)
        return answer(request, given.selection(), given.validated_data["reason"])


class ReplayView(_Replays, generics.RetrieveAPIView[Replay]):
    """One replay: how much of it is reopened, and how its deliveries fare."""
