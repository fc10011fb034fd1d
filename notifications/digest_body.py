"""A digest as a callout: the standard envelope around counts and a list of its events."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from events import ids

from . import envelope, payload_template
from .digest_content import Content, Entry
from .envelope import Wording, timestamp
from .fetch import Claimed
from .models import Parameter
from .parameters import Given, Pairs

MAX_LIST = 448 * 1024  # bytes: receivers are asked to accept bodies of 512 KB


class _Plain:
    """What a subscription's callouts say, as far as a digest can: a template made for it, no values of one event."""

    def __init__(self, wording: Wording) -> None:
        self.queue = wording.queue
        own = wording.payload_template
        self.payload_template = own if own and payload_template.digest_names(own) else ""
        self.parameters: tuple[Given, ...] = tuple(
            each for each in wording.parameters if each.is_secret or each.source == Parameter.Source.STATIC
        )


def compose(
    claimed: Claimed, wording: Wording, content: Content, context: Mapping[str, Any]
) -> tuple[str, Pairs, Pairs]:
    """Return body, headers and query of the callout; a payload template that names `digest.…` makes the body."""
    said = {**context, payload_template.DIGEST: values(content)}
    return envelope.compose(replace(claimed, data=data(content)), _Plain(wording), said)


def values(content: Content) -> dict[str, Any]:
    """Return what payload templates see as `digest`."""
    return {
        "id": content.id,
        "subject": content.subject,
        "count": content.size,
        "sent_singly": content.passed,
        "subscription": content.subscription,
        "from": timestamp(content.opened_at),
        "until": timestamp(content.until),
        "all": content.list_url,
    }


def data(content: Content) -> str:
    """Return the `data` member: JSON, with as many events as fit."""
    head: dict[str, Any] = {
        "digest": content.id,
        "subscription": content.subscription,
        "from": timestamp(content.opened_at),
        "until": timestamp(content.until),
        "sent_singly": content.passed,
        "count": content.size,
        "by_type": [{"type": code, "count": number} for code, _, number in content.types],
        "account_count": content.account_count,
        "by_account": [{"account": account, "count": number} for account, number in content.accounts],
        "lane_count": content.lane_count,
        "lanes": [
            {"ordering_key": key, "count": number, "first_sequence": first, "last_sequence": last}
            for key, number, first, last in content.lanes
        ],
    }
    start = json.dumps(head, ensure_ascii=False)
    room = MAX_LIST - len(start.encode())
    rows: list[str] = []
    for entry in content.entries:
        row = _row(entry)
        room -= len(row.encode()) + 2
        if room < 0:
            break
        rows.append(row)
    omitted = content.size - len(rows)
    end = json.dumps({"omitted": omitted, "all": content.list_url}, ensure_ascii=False)
    return f'{start[:-1]}, "events": [{", ".join(rows)}], {end[1:]}'


def _row(entry: Entry) -> str:
    row = {
        "id": entry.id,
        "type": entry.type,
        "occurred_at": timestamp(entry.occurred_at),
        "account": entry.account,
        "ordering_key": entry.ordering_key,
        "sequence": entry.sequence,
        "delivery": ids.public("dlv", entry.delivery_uid),
    }
    return json.dumps(row, ensure_ascii=False)
