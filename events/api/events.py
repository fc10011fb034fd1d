"""Publishing and reading events."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events import ids, problems
from events.draft import Draft
from events.grants import check_create
from events.models import ApiKey, Event, Route, Scope, Subscriber
from events.publish import Published, publish_each, publish_many
from events.refusals import InvalidField, PublishError
from events.visibility import visible_events

from . import describe, envelope
from .base import NewestFirst, flag
from .wire import JSON, RawBody


class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The query parameters of the event list."""

    type = django_filters.CharFilter("type__code")
    account = django_filters.CharFilter("account")
    ordering_key = django_filters.CharFilter("ordering_key")
    queue = django_filters.CharFilter(method="of_queue", help_text="Name of a queue the events go to.")
    idempotency_key = django_filters.CharFilter("idempotency_key")
    occurred_after = django_filters.IsoDateTimeFilter("occurred_at", "gte")
    occurred_before = django_filters.IsoDateTimeFilter("occurred_at", "lt")
    created_after = django_filters.IsoDateTimeFilter("created_at", "gte")
    created_before = django_filters.IsoDateTimeFilter("created_at", "lt")

    def of_queue(self, events: QuerySet[Event], _name: str, queue: str) -> QuerySet[Event]:
        """Events narrowed to the queue, and those of the types that flow into it."""
        # A sub-select: joining the routes would list an event once for each of its queues.
        routed = Route.objects.filter(queue__name=queue).values("event_type")
        return events.filter(Q(queue__name=queue) | Q(queue=None, type__in=routed))


class EventsView(generics.ListAPIView[Event]):
    """Publish an event; list events."""

    queryset = Event.objects.select_related("queue", "publisher")
    permission_model = Event
    required_scopes = {"GET": Scope.EVENTS_READ, "POST": Scope.EVENTS_CREATE}
    serializer_class = describe.EventSerializer
    filterset_class = EventFilter
    pagination_class = NewestFirst
    parser_classes = [RawBody]
    renderer_classes = [JSON]

    def get_queryset(self) -> QuerySet[Event]:
        """Those that the caller may read."""
        return visible_events(super().get_queryset(), self.request)

    @extend_schema(
        request=describe.EventDraftSerializer,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        responses={
            201: describe.BriefEventSerializer,
            200: describe.BriefEventSerializer,
            (400, problems.CONTENT_TYPE): describe.ProblemSerializer,
            (403, problems.CONTENT_TYPE): describe.ProblemSerializer,
            (409, problems.CONTENT_TYPE): describe.ProblemSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        """Publish one event: 201, or 200 with the first event of the same idempotency key."""
        draft = envelope.read(_body(request), header_key=request.headers.get("Idempotency-Key", ""))
        check_create(draft, request.user)
        [outcome] = publish_each([draft], publisher=_publisher(request))
        if isinstance(outcome, PublishError):
            raise outcome
        return Response(describe.brief(outcome.event), status=_status(outcome))


class EventBatchView(APIView):
    """Publish many events in one transaction."""

    permission_model = Event
    required_scopes = {"POST": Scope.EVENTS_CREATE}
    parser_classes = [RawBody]
    renderer_classes = [JSON]

    @extend_schema(
        request=describe.BatchSerializer,
        parameters=[OpenApiParameter("partial", bool, description="Publish what can be, report the rest.")],
        responses={
            201: describe.BatchResultSerializer,
            200: describe.BatchResultSerializer,
            (400, problems.CONTENT_TYPE): describe.ProblemSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        """Publish up to 1,000 events in order: all (201; 200 if all are repeats) or none, or `?partial=1`."""
        partial = flag(request, "partial")
        if "Idempotency-Key" in request.headers:
            raise InvalidField(
                "A batch has no key of its own; give each event its idempotency_key.",
                field="/idempotency_key",
            )
        drafts, place = envelope.read_batch(_body(request))
        checked = [_checked(draft, request) for draft in drafts]
        publisher = _publisher(request)
        outcomes: Sequence[Published | PublishError] = (
            publish_each(checked, publisher=publisher)
            if partial
            else publish_many(checked, publisher=publisher, place=place)
        )
        created = sum(isinstance(each, Published) and each.created for each in outcomes)
        refused = sum(isinstance(each, PublishError) for each in outcomes)
        answer = {
            "created": created,
            "repeated": len(outcomes) - created - refused,
            "refused": refused,
            "results": [_result(each, f"{place}/{at}") for at, each in enumerate(outcomes)],
        }
        return Response(answer, status=HTTPStatus.CREATED if created and not partial else HTTPStatus.OK)


class EventView(generics.RetrieveAPIView[Event]):
    """One event."""

    queryset = Event.objects.select_related("queue", "publisher")
    permission_model = Event
    required_scopes = {"GET": Scope.EVENTS_READ}
    serializer_class: type[describe.EventSerializer] = describe.EventSerializer
    renderer_classes = [JSON]

    def get_object(self) -> Event:
        """Return the event of the id in the path, or a 404; who may change it is for its grants to say."""
        uid = ids.parse("evt", self.kwargs["public_id"])
        if uid is None:
            raise Http404
        events = self.get_queryset()
        if self.request.method in SAFE_METHODS:
            events = visible_events(events, self.request)
        return generics.get_object_or_404(events, uid=uid)


def _body(request: Request) -> bytes:
    # Without a body, REST framework does not call the parser at all.
    return request.data if isinstance(request.data, bytes) else b""


def _publisher(request: Request) -> Subscriber | None:
    return request.auth.subscriber if isinstance(request.auth, ApiKey) else None


def _checked(draft: Draft | PublishError, request: Request) -> Draft | PublishError:
    if isinstance(draft, Draft):
        try:
            check_create(draft, request.user)
        except PublishError as refusal:
            return refusal
    return draft


def _status(outcome: Published) -> HTTPStatus:
    return HTTPStatus.CREATED if outcome.created else HTTPStatus.OK


def _result(outcome: Published | PublishError, place: str) -> dict[str, Any]:
    if isinstance(outcome, PublishError):
        return {"status": problems.status_of(outcome), "problem": problems.describe(outcome, prefix=place)}
    return {"status": _status(outcome), "event": describe.brief(outcome.event)}
