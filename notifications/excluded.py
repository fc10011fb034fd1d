"""Who is not to be mailed: suppressed addresses and those who opted out. One statement for a batch of events."""

from collections.abc import Collection

from events import prepared
from events.prepared import array

from .deliveries import Draft
from .models import Delivery

OPTED_OUT = "The recipient has opted out of this subscription."
Pair = tuple[int, str]  # a subscription, and an address in small letters

_FIND = """
SELECT x.subscription_id, x.address, s.reason, s.created_at::date::text
FROM unnest(%s::bigint[], %s::text[]) x(subscription_id, address)
JOIN notifications_suppression s ON s.address = x.address AND s.released_at IS NULL
UNION ALL
SELECT x.subscription_id, x.address, '', ''
FROM unnest(%s::bigint[], %s::text[]) x(subscription_id, address)
JOIN notifications_optout o USING (subscription_id, address)
JOIN notifications_subscription b ON b.id = o.subscription_id AND b.allows_opt_out
"""
_WHY = {
    "bounced": "The address bounced on {}, so it is suppressed. It can be released under Suppressions.",
    "complained": "Its owner complained of spam on {}, so it is suppressed. It can be released under Suppressions.",
    "manual": "A person suppressed the address on {}. It can be released under Suppressions.",
}


def exclude(drafts: list[Draft]) -> list[Draft]:
    """Return the drafts, those undeliverable that would go to a person who is not to be mailed."""
    mails = [draft for draft in drafts if draft.profile_id and draft.recipient and not draft.undeliverable]
    if mails:
        found = _reasons({(draft.subscription_id, draft.recipient.lower()) for draft in mails})
        for draft in mails:
            draft.undeliverable = found.get((draft.subscription_id, draft.recipient.lower()), "")
    return drafts


def excluded(rows: Collection[Delivery]) -> dict[int, str]:
    """Return why each of these that would go to a person who is not to be mailed is not sent, by primary key."""
    pairs = {row.pk: (row.subscription_id, row.recipient.lower()) for row in rows if row.recipient}
    found = _reasons(set(pairs.values())) if pairs else {}
    return {pk: found[pair] for pk, pair in pairs.items() if pair in found}


def _reasons(wanted: set[Pair]) -> dict[Pair, str]:
    pairs = sorted(wanted)
    both = [array(pair[0] for pair in pairs), array(pair[1] for pair in pairs)]
    rows = prepared.run(_FIND, [*both, *both])
    return {
        (subscription_id, address): _WHY[reason].format(day) if reason else OPTED_OUT
        for subscription_id, address, reason, day in rows
    }
