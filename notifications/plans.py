"""Reading subscriptions into plans: a fixed number of statements, however many there are."""

from collections import defaultdict
from collections.abc import Collection

from django.contrib.auth import get_user_model

from smtpprofiles.models import SmtpProfile

from .match import Condition, Plan
from .models import Filter, ProfileRule, Recipient, Subscription


def load(queue_ids: Collection[int]) -> list[Plan]:
    """Return the active subscriptions of these queues, oldest first."""
    rows = list(
        Subscription.objects.filter(queue_id__in=queue_ids, is_active=True, subscriber__is_active=True)
        .order_by("id")
        .values_list(
            "id",
            "queue_id",
            "queue__is_ordered",
            "on_create",
            "on_update",
            "on_delete",
            "endpoint_id",
            "profile_id",
        )
    )
    ids = [row[0] for row in rows]
    types: dict[int, set[int]] = defaultdict(set)
    chosen = Subscription.event_types.through.objects.filter(subscription_id__in=ids)
    for subscription_id, type_id in chosen.values_list("subscription_id", "eventtype_id"):
        types[subscription_id].add(type_id)
    conditions: dict[int, list[Condition]] = defaultdict(list)
    for row in Filter.objects.filter(subscription_id__in=ids):
        conditions[row.subscription_id].append(
            Condition(token=row.token, operator=row.operator, value=row.value)
        )
    addresses, tokens = _recipients(ids)
    return [
        Plan(
            subscription_id=pk,
            queue_id=queue_id,
            is_ordered=is_ordered,
            type_ids=frozenset(types[pk]),
            operations=frozenset(
                name
                for name, wanted in zip(("create", "update", "delete"), wanted_operations, strict=True)
                if wanted
            ),
            conditions=tuple(conditions[pk]),
            endpoint_id=endpoint_id,
            profile_id=profile_id,
            addresses=tuple(addresses[pk]),
            address_tokens=tuple(tokens[pk]),
        )
        for pk, queue_id, is_ordered, *wanted_operations, endpoint_id, profile_id in rows
    ]


def _recipients(ids: list[int]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    addresses: dict[int, list[str]] = defaultdict(list)
    tokens: dict[int, list[str]] = defaultdict(list)
    groups: dict[int, list[int]] = defaultdict(list)
    rows = Recipient.objects.filter(subscription_id__in=ids).values_list(
        "subscription_id", "address", "token", "group_id", "user__email", "user__is_active"
    )
    for subscription_id, address, token, group_id, email, is_active in rows:
        if address or (email and is_active):
            addresses[subscription_id].append(address or email)
        if token:
            tokens[subscription_id].append(token)
        if group_id:
            groups[group_id].append(subscription_id)
    if groups:
        members = get_user_model().objects.filter(groups__in=list(groups), is_active=True).exclude(email="")
        for group_id, email in members.values_list("groups", "email"):
            for subscription_id in groups.get(group_id, []):
                addresses[subscription_id].append(email)
    return addresses, tokens


def profiles_by_type() -> tuple[dict[int, int], int | None]:
    """Return the SMTP profile that each event type's rule names, and the default profile."""
    rules = dict(ProfileRule.objects.values_list("event_type_id", "profile_id"))
    default = SmtpProfile.objects.filter(is_default=True).values_list("pk", flat=True).first()
    return rules, default
