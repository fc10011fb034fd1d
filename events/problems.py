"""Every error of the HTTP API as an RFC 9457 problem document."""

import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError
from django.db.models.deletion import ProtectedError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler

from .payload import escape
from .refusals import (
    BatchRefused,
    FieldError,
    IdempotencyConflict,
    MissingGrant,
    PayloadTooLarge,
    PublishError,
    StateConflict,
)
from .report_refusals import ReportError, StaleVersion

CONTENT_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)


class RequestTooLarge(exceptions.APIException):
    """The body is longer than the call takes."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def document(status: int, detail: str, *, errors: list[FieldError] | None = None) -> dict[str, Any]:
    """Return the members of a problem document; `errors` point into the request."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }
    if errors:
        problem["errors"] = [{"field": error.field, "detail": error.detail} for error in errors]
    return problem


def describe(error: PublishError, *, prefix: str = "") -> dict[str, Any]:
    """Return a refused event's problem document; `prefix` goes before each pointer."""
    faults = [FieldError(field=prefix + each.field, detail=each.detail) for each in error.errors]
    problem = document(status_of(error), error.detail, errors=faults)
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    problem |= {"type": f"urn:bellwether:problem:{name}", "title": error.title}
    if isinstance(error, IdempotencyConflict):
        problem["event"] = error.first.public_id
        problem["differing"] = error.differing
    if isinstance(error, StateConflict):
        problem |= error.members
        del problem["errors"]
    if isinstance(error, StaleVersion):
        problem["known_version"] = error.known
    return problem


def status_of(error: PublishError) -> int:
    """Return the HTTP status of a refusal; of a batch, the one that all share, else 400."""
    if isinstance(error, BatchRefused):
        statuses = {status_of(refusal) for refusal in error.refusals.values()}
        return statuses.pop() if len(statuses) == 1 else HTTPStatus.BAD_REQUEST
    if isinstance(error, ReportError):
        return error.status
    if isinstance(error, IdempotencyConflict | StateConflict):
        return HTTPStatus.CONFLICT
    if isinstance(error, PayloadTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.FORBIDDEN if isinstance(error, MissingGrant) else HTTPStatus.BAD_REQUEST


def answer(problem: dict[str, Any]) -> Response:
    """Return the response that carries a problem document."""
    return Response(problem, status=problem["status"], content_type=CONTENT_TYPE)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an API view's exception (the EXCEPTION_HANDLER of REST_FRAMEWORK); None leaves it a bug."""
    if isinstance(error, PublishError):
        return answer(describe(error))
    if isinstance(error, ProtectedError):
        kinds = sorted({str(each._meta.verbose_name_plural) for each in error.protected_objects})
        detail = f"It is in use by {', '.join(kinds)}; remove those first, or make it inactive instead."
        return answer(document(HTTPStatus.CONFLICT, detail))
    if isinstance(error, IntegrityError):
        logger.warning("A constraint refused what validation had passed", exc_info=error)
        return answer(document(HTTPStatus.CONFLICT, "Another change came first; read it again and retry."))
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else error.messages
        )
    elif isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        error = RequestTooLarge("The body is longer than any call takes; send less at once.")
    response = exception_handler(error, context)
    if response is None:
        return None
    assert isinstance(error, exceptions.APIException)
    response.data = _describe_api(error, response.status_code)
    response.content_type = CONTENT_TYPE
    return response


# It changes nothing, and a POST that missed its slash is told so instead of being refused for its token.
@csrf_exempt
def not_found(request: HttpRequest) -> JsonResponse:
    """Answer a path of the API that does not exist."""
    detail = f"There is nothing at {request.path}."
    if not request.path.endswith("/"):
        detail += f" Paths end in a slash: {request.path}/"
    return JsonResponse(document(HTTPStatus.NOT_FOUND, detail), status=404, content_type=CONTENT_TYPE)


def server_error(_request: HttpRequest) -> JsonResponse:
    """Answer a bug of ours: nothing of its cause leaves the log."""
    problem = document(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side; it was logged.")
    return JsonResponse(problem, status=500, content_type=CONTENT_TYPE)


def _describe_api(error: exceptions.APIException, status: int) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        faults = [FieldError(field=field, detail=detail) for field, detail in _flatten(error.detail, "")]
        detail = faults[0].detail if len(faults) == 1 else f"{len(faults)} fields are wrong."
        return document(status, detail, errors=faults)
    return document(status, str(error.detail))


def _flatten(detail: Any, place: str) -> Iterator[tuple[str, str]]:
    """Turn REST framework's nested messages into pointers; `__all__` and the like mean the whole."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            whole = name in {api_settings.NON_FIELD_ERRORS_KEY, "__all__"}
            yield from _flatten(inner, place if whole else f"{place}/{escape(str(name))}")
    elif isinstance(detail, list | tuple):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _flatten(inner, f"{place}/{position}" if nested else place)
    else:
        yield place, str(detail)
