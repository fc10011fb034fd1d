"""Reporting and reading billing objects, and reporting their activity."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.exceptions import ValidationError
from rest_framework.fields import DateTimeField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events import activity, kinds, problems
from events.models import Activity, BillingObject, Scope
from events.objects import Report, Reported, refuse_stale, report_each, report_many
from events.refusals import InvalidField
from events.report_refusals import ReportError
from events.visibility import operators_only

from . import describe_objects as describe
from . import object_body
from .base import NewestFirst, flag
from .describe import ProblemSerializer
from .wire import JSON, RawBody

PROBLEMS: dict[Any, Any] = {
    (status, problems.CONTENT_TYPE): ProblemSerializer for status in (400, 403, 404, 409, 413)
}
WHEN = [
    OpenApiParameter("version", int, description="Refuses a stale report."),
    OpenApiParameter("occurred_at", str, description="When it happened. Default: now."),
]


class ObjectFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The query parameters of the object list."""

    kind = django_filters.CharFilter("kind")
    id = django_filters.CharFilter("external_id")
    parent = django_filters.CharFilter(method="of_parent", help_text="As kind:id, such as account:1001.")
    reported_after = django_filters.IsoDateTimeFilter("reported_at", "gte")
    deleted = django_filters.BooleanFilter("is_deleted")

    def of_parent(self, rows: QuerySet[BillingObject], _name: str, parent: str) -> QuerySet[BillingObject]:
        """Objects that belong to this one itself."""
        kind, _, external_id = parent.partition(":")
        above = BillingObject.objects.filter(kind=kind, external_id=external_id).first()
        return rows.filter(parent=above) if above else rows.none()


class ObjectsView(generics.ListAPIView[BillingObject]):
    """The objects as last reported, newest first."""

    queryset = BillingObject.objects.select_related("parent")
    permission_model = BillingObject
    required_scopes = {"GET": Scope.EVENTS_READ}
    serializer_class = describe.ObjectSerializer
    filterset_class = ObjectFilter
    pagination_class = NewestFirst
    renderer_classes = [JSON]

    def get_queryset(self) -> QuerySet[BillingObject]:
        """All of them, of an operator's key or a person."""
        operators_only(self.request, "Billing objects")
        return super().get_queryset()


class ObjectView(APIView):
    """One object: its state is put, patched, read, and it is deleted."""

    permission_model = BillingObject
    required_scopes = {
        "GET": Scope.EVENTS_READ,
        **dict.fromkeys(("PUT", "PATCH", "DELETE"), Scope.OBJECTS_WRITE),
    }
    parser_classes = [RawBody]
    renderer_classes = [JSON]

    @extend_schema(responses={200: describe.ObjectSerializer, **PROBLEMS})
    def get(self, request: Request, kind: str, external_id: str) -> Response:
        """Read one object as it was last reported."""
        operators_only(request, "Billing objects")
        if "\0" in kind + external_id:
            raise Http404  # none can have it, and PostgreSQL cannot be asked
        row = (
            BillingObject.objects.select_related("parent").filter(kind=kind, external_id=external_id).first()
        )
        if row is None:
            raise Http404
        return Response(describe.full(row))

    @extend_schema(
        request=describe.ReportSerializer,
        responses={200: describe.ReportedSerializer, 201: describe.ReportedSerializer, **PROBLEMS},
    )
    def put(self, request: Request, kind: str, external_id: str) -> Response:
        """Report the whole state of an object: 201 if it is new, 200 if it was known; a repeat changes nothing."""
        return _answer(object_body.read(_body(request), kind, external_id, partial=False))

    @extend_schema(
        request=describe.ReportSerializer,
        responses={200: describe.ReportedSerializer, 201: describe.ReportedSerializer, **PROBLEMS},
    )
    def patch(self, request: Request, kind: str, external_id: str) -> Response:
        """Report what changed of an object, as a JSON merge patch: null removes a member."""
        return _answer(object_body.read(_body(request), kind, external_id, partial=True))

    @extend_schema(parameters=WHEN, responses={200: describe.ReportedSerializer, **PROBLEMS})
    def delete(self, request: Request, kind: str, external_id: str) -> Response:
        """Report that an object is no more; its last state stays readable, a repeat changes nothing."""
        given = request.query_params
        version = given.get("version")
        if version is not None and not version.isdecimal():
            raise ValidationError({"version": "Write a whole number."})
        moment = given.get("occurred_at")
        report = Report(
            kind=kind,
            external_id=external_id,
            state=None,
            version=int(version) if version else None,
            occurred_at=_moment(moment) if moment else None,
        )
        return _answer(report)


class ObjectBatchView(APIView):
    """Report many objects in one transaction."""

    permission_model = BillingObject
    required_scopes = {"POST": Scope.OBJECTS_WRITE}
    parser_classes = [RawBody]
    renderer_classes = [JSON]

    @extend_schema(
        request=describe.ObjectBatchSerializer,
        parameters=[OpenApiParameter("partial", bool, description="Take what can be, report the rest.")],
        responses={200: describe.ObjectBatchResultSerializer, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Report up to 1,000 objects, as if one after the other: all or none, or with `?partial=1` what can be."""
        partial = flag(request, "partial")
        reports, place = object_body.read_batch(_body(request))
        outcomes: list[Reported | ReportError] = (
            [refuse_stale(each, given) for each, given in zip(report_each(reports), reports, strict=True)]
            if partial
            else list(report_many(reports, place=place))
        )
        changed = sum(isinstance(each, Reported) and each.change is not None for each in outcomes)
        refused = sum(isinstance(each, ReportError) for each in outcomes)
        answer = {
            "changed": changed,
            "unchanged": len(outcomes) - changed - refused,
            "refused": refused,
            "results": [_result(each, f"{place}/{at}") for at, each in enumerate(outcomes)],
        }
        return Response(answer)


class ActivityView(APIView):
    """Report when objects were active."""

    permission_model = Activity
    required_scopes = {"POST": Scope.OBJECTS_WRITE}
    parser_classes = [RawBody]
    renderer_classes = [JSON]

    @extend_schema(
        request=describe.ActivitySerializer, responses={200: describe.ActivityResultSerializer, **PROBLEMS}
    )
    def post(self, request: Request) -> Response:
        """Take up to 10,000 rows; the later time wins, so rows may come late, twice and in any order."""
        rows = object_body.read_activity(_body(request))
        known = kinds.read()
        for position, row in enumerate(rows):
            if row.kind not in known:
                raise InvalidField(kinds.unknown(row.kind, known), field=f"/activity/{position}/kind")
        return Response({"received": len(rows), "moved": activity.record(rows)})


def _body(request: Request) -> bytes:
    # Without a body, REST framework does not call the parser at all.
    return request.data if isinstance(request.data, bytes) else b""


def _moment(text: str) -> Any:
    try:
        return DateTimeField().run_validation(text)
    except ValidationError as error:
        raise ValidationError({"occurred_at": error.detail}) from None


def _answer(given: Report) -> Response:
    outcome = refuse_stale(report_each([given])[0], given)
    if isinstance(outcome, ReportError):
        raise outcome
    return Response(describe.reported(outcome), status=_status(outcome))


def _status(outcome: Reported) -> HTTPStatus:
    is_new = outcome.change is not None and outcome.change.operation == "create"
    return HTTPStatus.CREATED if is_new else HTTPStatus.OK


def _result(outcome: Reported | ReportError, place: str) -> dict[str, Any]:
    if isinstance(outcome, ReportError):
        return {"status": problems.status_of(outcome), "problem": problems.describe(outcome, prefix=place)}
    return {"status": _status(outcome), "object": describe.brief(outcome)}
