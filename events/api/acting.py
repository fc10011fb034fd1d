"""Who acts through the API: the key, or the person who is logged in."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from events.models import ApiKey


def actor_of(request: Request) -> AbstractBaseUser | AnonymousUser | ApiKey:
    """Return whom records name for this request."""
    return request.auth if isinstance(request.auth, ApiKey) else request.user


def require(request: Request, permission: str) -> None:
    """Refuse a person without it: of a key the scope was checked, and of a person only the permission to add."""
    if not isinstance(request.auth, ApiKey) and not request.user.has_perm(permission):
        raise PermissionDenied(f"You need the permission {permission}.")
