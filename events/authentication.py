"""API keys on the HTTP API: who is calling, and what the key may do at all.

A key is read once in MAX_AGE seconds in each process, so a revocation made elsewhere acts within that
time; one made in this process acts at once.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from .keys import digest
from .models import ApiKey, Grant, Queue, Subscriber

MAX_AGE = 5.0
MAX_KEPT = 1000
USE_NOTED_EVERY = timedelta(minutes=1)

_ACTIONS = {"GET": "view", "HEAD": "view", "OPTIONS": "view", "POST": "add", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    key: ApiKey
    creatable: frozenset[int]
    read_at: float


_known: OrderedDict[str, _Known] = OrderedDict()
_lock = threading.Lock()


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer bwk_…`: `request.user` and `request.auth` are the ApiKey."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        """Return the key twice; None without a bearer token; AuthenticationFailed for a bad one."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        known = _look_up(digest(token.strip().decode("latin-1")))
        if known is None or (known.key.expires_at and known.key.expires_at <= timezone.now()):
            raise AuthenticationFailed("This API key is unknown, revoked or expired.")
        return known.key, known.key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """What a 401 asks for."""
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """A key needs the scope that the view names for the method; a staff user, the model permission.

    The view says `required_scopes = {method: scope}` and `permission_model`; a method that is not
    listed is nobody's. `permission_actions = {method: action}` names another permission than Django's own.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may use this method of this view."""
        if not hasattr(view, str(request.method).lower()):
            return True  # for the view to answer 405
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else str(request.method)
        scope = getattr(view, "required_scopes", {}).get(method)
        if isinstance(request.auth, ApiKey):
            if scope in request.auth.scopes:
                return True
            self.message = f"This API key lacks the scope {scope}."
            return False
        user, model = request.user, getattr(view, "permission_model", None)
        if scope is None or model is None or not (user.is_authenticated and user.is_staff):
            return False
        actions = _ACTIONS | getattr(view, "permission_actions", {})
        action = actions.get(method, "change")
        permission = f"{model._meta.app_label}.{action}_{model._meta.model_name}"
        self.message = f"You need the permission {permission}."
        return bool(user.has_perm(permission))


def may_create_on(key: ApiKey) -> frozenset[int]:
    """Return the primary keys of the queues on which the key's subscriber may create entries."""
    known = _look_up(key.digest)
    return known.creatable if known else frozenset()


def clear(**_signal: Any) -> None:
    """Forget every key, so that the next request reads its own from the database."""
    with _lock:
        _known.clear()


def _look_up(key_digest: str) -> _Known | None:
    with _lock:
        known = _known.get(key_digest)
    if known is not None and time.monotonic() - known.read_at <= MAX_AGE:
        return known
    read_at = time.monotonic()
    key = ApiKey.objects.usable().filter(digest=key_digest).select_related("subscriber").first()
    with _lock:
        _known.pop(key_digest, None)
    if key is None:
        return None
    _note_use(key)
    grants = Grant.objects.filter(subscriber=key.subscriber_id, can_create=True)
    known = _Known(key=key, creatable=frozenset(grants.values_list("queue_id", flat=True)), read_at=read_at)
    with _lock:
        _known[key_digest] = known
        while len(_known) > MAX_KEPT:
            _known.popitem(last=False)
    return known


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < USE_NOTED_EVERY:
        return
    # Conditional, so that processes which see the key at the same moment write once.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _changed(**_signal: Any) -> None:
    clear()
    # Another thread may read the old row before this transaction commits.
    transaction.on_commit(clear, robust=True)


for _model in (ApiKey, Grant, Queue, Subscriber):
    post_save.connect(_changed, sender=_model, dispatch_uid=f"authentication.{_model.__name__}.save")
    post_delete.connect(_changed, sender=_model, dispatch_uid=f"authentication.{_model.__name__}.delete")
