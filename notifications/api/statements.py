"""Reconciliation: the account of a day, and sending again what a receiver misses."""

import datetime
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from events import ids
from events.api.wire import JSON
from events.models import Scope
from events.visibility import confined_to
from notifications import statements
from notifications.models import Delivery, Subscription
from notifications.replay import Selection

from .problems import OPERATES, PROBLEMS
from .replays import (
    DRY_RUN,
    ReplayOrderSerializer,
    ReplayPreviewSerializer,
    ReplaySerializer,
    answer,
    uids_of,
)

PAGE, MOST = 200, 1_000
_COUNTS = (
    "made", "sent", "accepted", "waiting", "held", "dead", "skipped", "cancelled", "suppressed",
    "digested", "keys", "first_sequence", "last_sequence",
)  # fmt: skip


class LineSerializer(serializers.Serializer[Any]):
    """One subscription's day; the statuses are those of now."""

    subscription = serializers.IntegerField()
    name = serializers.CharField()
    subscriber = serializers.IntegerField()
    queue = serializers.CharField()
    made = serializers.IntegerField(
        help_text="Deliveries that were made on the day; the sum of what follows sent."
    )
    sent = serializers.IntegerField(help_text="Tried at least once.")
    accepted = serializers.IntegerField()
    waiting = serializers.IntegerField()
    held = serializers.IntegerField()
    dead = serializers.IntegerField()
    skipped = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    suppressed = serializers.IntegerField()
    digested = serializers.IntegerField(help_text="Gone out in a digest, with others.")
    keys = serializers.IntegerField(help_text="Ordering keys, each numbered by itself; 0: out of order.")
    first_sequence = serializers.IntegerField(
        allow_null=True, help_text="Of an ordering key, where one is named."
    )
    last_sequence = serializers.IntegerField(allow_null=True)


class StatedSerializer(serializers.Serializer[Any]):
    """One delivery of a statement."""

    id = serializers.CharField(source="public_id", help_text="dlv_…, the webhook-id.")
    event = serializers.CharField(source="event.public_id")
    ordering_key = serializers.CharField(source="event.ordering_key")
    sequence = serializers.IntegerField(allow_null=True)
    recipient = serializers.CharField()
    status = serializers.CharField()


class StatementSerializer(serializers.Serializer[Any]):
    """The account of a day, in UTC; with `?subscription=` also the ids, in their order."""

    date = serializers.DateField()
    subscriptions = LineSerializer(many=True)
    deliveries = StatedSerializer(many=True, required=False, help_text="With a subscription only.")
    next = serializers.CharField(
        required=False, allow_null=True, help_text="Give it as `after`; null: that was all."
    )


class StatementView(generics.GenericAPIView[Delivery]):
    """The account of a day."""

    queryset = Delivery.objects.all()
    permission_model = Delivery
    required_scopes = {"GET": Scope.DELIVERIES_READ}
    serializer_class = StatementSerializer
    renderer_classes = [JSON]

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "day", datetime.date, OpenApiParameter.PATH, description="2026-11-22: a day in UTC."
            ),
            OpenApiParameter(
                "subscription", int, description="This one alone, with the ids of its deliveries."
            ),
            OpenApiParameter("ordering_key", str, description="This one alone: its first and last number."),
            OpenApiParameter("after", str, description="dlv_…: the next page of ids."),
            OpenApiParameter("limit", int, description=f"Ids a page, 1 to {MOST}. Default: {PAGE}."),
        ],
        responses={200: StatementSerializer, **PROBLEMS},
    )
    def get(self, request: Request, day: str) -> Response:
        """Tell per subscription what was made, sent, accepted, held and dead, and the first and last number."""
        given = self._given(request, day)
        rows = statements.of_day(
            given["date"],
            subscriber_id=confined_to(request),
            subscription_id=given.get("subscription"),
            ordering_key=given["ordering_key"],
        )
        told: dict[str, Any] = {
            "date": given["date"],
            "subscriptions": [_line(each) for each in statements.lines(rows)],
        }
        if "subscription" in given:
            if given["after"]:
                rows = rows.filter(pk__gt=self._place(given["after"]))
            page = list(rows.select_related("event").order_by("pk")[: given["limit"] + 1])
            told["deliveries"] = StatedSerializer(page[: given["limit"]], many=True).data
            told["next"] = page[given["limit"] - 1].public_id if len(page) > given["limit"] else None
        return Response(told)

    @staticmethod
    def _given(request: Request, day: str) -> dict[str, Any]:
        query = _QuerySerializer(data={"date": day, **request.query_params.dict()})
        query.is_valid(raise_exception=True)
        if unknown := sorted(
            set(request.query_params) - set(query.fields) | {"date"} & set(request.query_params)
        ):
            legal = "subscription, ordering_key, after, limit"
            raise serializers.ValidationError(
                dict.fromkeys(unknown, f"Unknown query parameter; there are: {legal}.")
            )
        given: dict[str, Any] = query.validated_data
        return given

    @staticmethod
    def _place(text: str) -> int:
        uid = ids.parse("dlv", text)
        found = Delivery.objects.filter(uid=uid).values_list("pk", flat=True).first() if uid else None
        if found is None:
            raise serializers.ValidationError({"after": "Give the next of the page before, dlv_…"})
        return found


class _QuerySerializer(serializers.Serializer[Any]):
    date = serializers.DateField()
    subscription = serializers.IntegerField(required=False, min_value=1)
    ordering_key = serializers.CharField(required=False, default="", max_length=200)
    after = serializers.CharField(required=False, default="")
    limit = serializers.IntegerField(required=False, default=PAGE, min_value=1, max_value=MOST)

    def validate_date(self, day: datetime.date) -> datetime.date:
        """A day that the calendar of every reader has, with one before and after it."""
        first, last = datetime.date.min, datetime.date.max
        margin = datetime.timedelta(days=2)
        if not first + margin < day < last - margin:
            raise serializers.ValidationError("Write a day such as 2026-11-22.")
        return day


def _line(line: statements.Line) -> dict[str, Any]:
    subscription = line.subscription
    return {
        "subscription": subscription.pk,
        "name": subscription.name,
        "subscriber": subscription.subscriber_id,
        "queue": subscription.queue.name,
        **{name: getattr(line, name) for name in _COUNTS},
    }


class MissingSerializer(ReplayOrderSerializer):
    """What a receiver misses: all after the last number that it saw of an ordering key, or these ids."""

    endpoint = created_after = created_before = event_type = statuses = None  # type: ignore[assignment]
    subscription = serializers.PrimaryKeyRelatedField(queryset=Subscription.objects.all(), required=False)
    last_sequence = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=2**63 - 1,
        help_text="The last number seen of the ordering key; 0: none.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ids stand alone; else subscription, ordering key and number are needed."""
        if "ids" in attrs:
            return super().validate(attrs)
        needed = ("subscription", "ordering_key", "last_sequence")
        if missing := [name for name in needed if name not in attrs]:
            told = "Give ids, or a subscription, an ordering key and the last number that was seen of it."
            raise serializers.ValidationError({missing[0]: told})
        return attrs

    def selection(self) -> Selection:
        """Return what is missing."""
        given, request = self.validated_data, self.context["request"]
        return Selection(
            ids=uids_of(request, given["ids"]) if "ids" in given else (),
            subscription_id=given["subscription"].pk if "subscription" in given else None,
            ordering_key=given.get("ordering_key", ""),
            after_sequence=given.get("last_sequence"),
            subscriber_id=confined_to(request),
        )


class ResendMissingView(generics.GenericAPIView[Delivery]):
    """Send again what a receiver misses."""

    queryset = Delivery.objects.all()
    permission_model = Delivery
    permission_actions = OPERATES
    required_scopes = {"POST": Scope.DELIVERIES_OPERATE}
    serializer_class = MissingSerializer
    renderer_classes = [JSON]

    @extend_schema(
        request=MissingSerializer,
        parameters=[DRY_RUN],
        responses={201: ReplaySerializer, 200: ReplayPreviewSerializer, **PROBLEMS},
        examples=[
            OpenApiExample(
                "after the last number seen",
                value={"subscription": 7, "ordering_key": "account:1001", "last_sequence": 41},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Order a replay of what is missing; what still waits is sent anyhow, and not twice."""
        given = MissingSerializer(data=request.data, context={"request": request})
        given.is_valid(raise_exception=True)
        return answer(request, given.selection(), given.validated_data["reason"])
