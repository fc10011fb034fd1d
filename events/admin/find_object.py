"""Looking up rows by the object or account that somebody names, each on its index."""

from typing import Any

from django.db.models import Q, QuerySet


def of_object(queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Return the rows of an object (kind:id), or of a kind alone; all of them for an empty term."""
    kind, colon, external_id = term.strip().partition(":")
    if not kind:
        return queryset
    return queryset.filter(kind=kind, external_id=external_id) if colon else queryset.filter(kind=kind)


def of_object_or_account(queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Return the rows of an object (kind:id) or of an account; all of them for an empty term."""
    term = term.strip()
    kind, colon, external_id = term.partition(":")
    if not term:
        return queryset
    if colon and kind != "account":
        return queryset.filter(kind=kind, external_id=external_id)
    account = external_id if colon else term
    return queryset.filter(Q(account=account) | Q(kind="account", external_id=account))
