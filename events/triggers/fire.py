"""Fire a rule: its key, its event and its ledger row in one savepoint, so that it happens whole and once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from django.db import transaction

from events import prepared
from events.models import EventType
from events.publish import publish
from events.refusals import InactiveEventType, PublishError

from .conditions import Verdict
from .ledger import Ledger, Outcome
from .payloads import Material, build
from .rules import Rule

MOST_DEEP = 5
_CLAIM: LiteralString = """
INSERT INTO events_firing (trigger_id, kind, external_id, tier, period, depth)
VALUES (%s::bigint, %s::text, %s::text, %s::text, %s::text, %s::smallint) ON CONFLICT DO NOTHING RETURNING id
"""
_NAME_EVENT: LiteralString = "UPDATE events_firing SET event_id = %s::bigint WHERE id = %s::bigint"


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """What a rule fires for. `tier` and `period` are part of its key; `source` is that of the event."""

    kind: str
    external_id: str
    account: str
    source: str
    material: Callable[[], Material]
    tier: str = ""
    period: str = ""
    occurred_at: datetime | None = None
    change_id: int | None = None
    depth: int = 0
    detail: str = ""
    is_covered: bool = False

    @property
    def where(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {
            "kind": self.kind,
            "external_id": self.external_id,
            "account": self.account,
            "tier": self.tier,
            "period": self.period,
            "change_id": self.change_id,
        }


def fire(rule: Rule, occasion: Occasion, ledger: Ledger, verdict: Verdict | None = None) -> int | None:
    """Publish the rule's event unless it was published for this key before; return the event's id.

    What stops it is in the ledger: already fired, the event type is off, or the payload is refused.
    """
    findings = verdict.findings if verdict else ()
    try:
        with transaction.atomic():
            firing_id = _claim(rule, occasion)
            if firing_id is None:
                ledger.note(
                    rule.id, Outcome.ALREADY, detail=_already(occasion), findings=findings, **occasion.where
                )
                return None
            if occasion.is_covered:
                detail = "A higher threshold was crossed by the same report, and only the highest is told."
                ledger.note(rule.id, Outcome.ALREADY, detail=detail, findings=findings, **occasion.where)
                return None
            event_id = tell(rule, rule.row.event_type, occasion)
            prepared.run(_NAME_EVENT, [str(event_id), str(firing_id)])
    except InactiveEventType as refusal:
        ledger.note(rule.id, Outcome.INACTIVE, detail=refusal.detail, findings=findings, **occasion.where)
        return None
    except PublishError as refusal:
        told = " ".join(each.detail for each in refusal.errors[:3])
        detail = f"{rule.row.event_type.code} was refused: {told}"
        ledger.note(rule.id, Outcome.FAULTY, detail=detail, findings=findings, **occasion.where)
        return None
    silence = ledger.silence(rule.row.event_type_id)
    outcome = Outcome.INACTIVE if silence else Outcome.FIRED
    detail = f"{occasion.detail} {silence}".strip()
    ledger.note(rule.id, outcome, detail=detail, findings=findings, event_id=event_id, **occasion.where)
    return event_id


def tell(rule: Rule, event_type: EventType, occasion: Occasion) -> int:
    """Publish an event of the type about the occasion; raise the PublishError that refuses it."""
    is_own = event_type.pk == rule.row.event_type_id
    data = build(event_type, rule.fields if is_own else {}, occasion.material())
    published = publish(
        event_type.code,
        data,
        account=occasion.account,
        ordering_key=_ordering_key(event_type, occasion),
        occurred_at=occasion.occurred_at,
        source=occasion.source,
    )
    return int(published.event.pk)


def _claim(rule: Rule, occasion: Occasion) -> int | None:
    key = [
        str(rule.id),
        occasion.kind,
        occasion.external_id,
        occasion.tier,
        occasion.period,
        str(occasion.depth),
    ]
    rows = prepared.run(_CLAIM, key)
    return rows[0][0] if rows else None


def _already(occasion: Occasion) -> str:
    tier = f" for {occasion.tier.replace(':', ' at ')}" if occasion.tier else ""
    what, _, number = occasion.period.partition(" ")
    if what in {"event", "change"} and number.isdecimal():
        return f"It fired before{tier} for the same {what}."
    period = f" in the period {occasion.period}" if occasion.period else ""
    return f"It fired before{tier}{period}."


def _ordering_key(event_type: EventType, occasion: Occasion) -> str:
    """What an event type without a rule of its own is kept in order with: its account, else its object."""
    if event_type.ordering_prefix:
        return ""
    return f"account:{occasion.account}" if occasion.account else f"{occasion.kind}:{occasion.external_id}"
