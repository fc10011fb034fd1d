"""Knowing from which address a request came, wherever something is written down while it is answered."""

from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponseBase

_now: ContextVar[str] = ContextVar("origin", default="")


def current() -> str:
    """Return the address of the request that is being answered; empty outside one."""
    return _now.get()


class OriginMiddleware:
    """Keeps the address for as long as the request is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer it."""
        token = _now.set(request.META.get("REMOTE_ADDR", ""))
        try:
            return self._get_response(request)
        finally:
            _now.reset(token)
