"""The sequencer: committed events become deliveries, with gap-free numbers per lane.

One at a time, under an advisory lock that is a statement of its own, so that the next statement
sees everything committed before the lock was won. The inbox is read by id and never with SKIP
LOCKED: what committed before B was published comes before B in every lane. No rendering and no
network in here.
"""

import json
import traceback
from collections import defaultdict
from dataclasses import dataclass

import structlog
from django.db import connection, transaction
from psycopg.errors import ForeignKeyViolation

from events import prepared
from events.away import is_away
from events.models import Event, QuarantinedEvent, Route
from events.prepared import array

from . import close_digests, deliveries, plans
from .close_digests import Closing
from .collect import collect
from .excluded import exclude
from .match import Fact, Limit, Plan, recipients, wants
from .selection import Profiles
from .waiting import CHANNEL, DELIVERIES

log = structlog.get_logger(__name__)

LOCK = 0x62656C6C77657468  # "bellweth", the one advisory lock of the sequencer
BATCH = 2000
MANY = 50  # events, of which other workers hear


# The inbox is read first, by its own indexes: events are millions, and what waits of them is little.
_READ = """
WITH waiting AS MATERIALIZED (
  SELECT event_id FROM (
    (SELECT event_id FROM events_inboxentry WHERE due_at IS NULL ORDER BY event_id LIMIT %(limit)s)
    UNION ALL
    (SELECT event_id FROM events_inboxentry WHERE due_at <= statement_timestamp()
     ORDER BY event_id LIMIT %(limit)s)) entry
  ORDER BY event_id LIMIT %(limit)s
)
SELECT e.id, e.type_id, t.operation, e.ordering_key, e.queue_id, r.queues
FROM waiting JOIN events_event e ON e.id = waiting.event_id JOIN events_eventtype t ON t.id = e.type_id
LEFT JOIN (SELECT event_type_id, string_agg(queue_id::text, ' ') AS queues
           FROM events_route GROUP BY event_type_id) r ON r.event_type_id = t.id
ORDER BY e.id
"""
# Other workers hear of it with the commit, where there may be enough for them, too.
_LEAVE = """
WITH gone AS (DELETE FROM events_inboxentry WHERE event_id = ANY(%s::bigint[]) RETURNING event_id)
SELECT pg_notify(%s::text, %s::text) WHERE (SELECT count(*) FROM gone) >= %s::bigint
"""
Row = tuple[int, int, str, str, int | None, str | None]


class _Outdated(Exception):  # noqa: N818 - named for the fact
    """A subscription was deleted since it was read: no fault of any event."""


def fan_out(*, limit: int = BATCH, waits: bool = True) -> int | None:
    """Fan out up to `limit` committed events; return how many left the inbox.

    Unless it `waits`, None while another worker is at it. An event that makes fan-out raise is
    quarantined, alone; the others go on.
    """
    try:
        return _fan_out(limit, waits=waits, is_second=False)
    except _Outdated as error:
        log.info("fan-out looks again", error=str(error))
    return _fan_out(limit, waits=waits, is_second=True)


def _fan_out(limit: int, *, waits: bool, is_second: bool) -> int | None:
    with transaction.atomic(), connection.cursor() as cursor:
        if waits:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        else:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                return None
        cursor.execute(_READ, {"limit": limit})
        rows = cursor.fetchall()
        if not rows:
            return 0
        batch = _Batch.read(rows)
        # Before channels are locked, for which workers wait; but a digest that has to wait stays.
        event_ids = array(row[0] for row in rows if row[0] not in batch.closings)
        prepared.run(_LEAVE, [event_ids, CHANNEL, DELIVERIES, str(MANY)])
        _write(batch, batch.facts, is_second=is_second)
        if batch.closings:
            cursor.execute(
                """DELETE FROM events_inboxentry
                   WHERE event_id = ANY(%s) AND coalesce(due_at <= clock_timestamp(), true)""",
                [list(batch.closings)],
            )
    return len(rows)


def drafts_of(event: Event) -> list[deliveries.Draft]:
    """Return the deliveries that an event would become if it were fanned out now."""
    queues = Route.objects.filter(event_type=event.type_id).values_list("queue_id", flat=True)
    row = (event.pk, event.type_id, event.type.operation, event.ordering_key, event.queue_id)
    batch = _Batch.read([(*row, " ".join(map(str, queues)))])
    return exclude(batch.drafts(batch.facts[0]))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The events of one pass with what was read once for all of them."""

    facts: list[Fact]
    plans: dict[int, list[Plan]]  # by queue
    profiles: Profiles
    limits: dict[int, Limit]  # by subscription, of those under storm control
    closings: dict[int, Closing]  # by event, of digests whose period is over

    @classmethod
    def read(cls, rows: list[Row]) -> "_Batch":
        routed = {
            type_id: {int(queue) for queue in (queues or "").split()}
            for type_id, queues in {(row[1], row[5]) for row in rows}
        }
        by_queue: dict[int, list[Plan]] = defaultdict(list)
        for plan in plans.load(set().union(*routed.values())):
            by_queue[plan.queue_id].append(plan)
        data = _data(rows) if any(plan.looks_inside for queue in by_queue.values() for plan in queue) else {}
        flows = {
            (type_id, queue_id): frozenset(routed[type_id] & {queue_id} if queue_id else routed[type_id])
            for type_id, queue_id in {(row[1], row[4]) for row in rows}
        }
        facts = [
            Fact(
                id=event_id,
                type_id=type_id,
                operation=operation,
                ordering_key=key,
                queue_ids=flows[type_id, queue_id],
                data=_LazyData(data[event_id]) if data else {},
            )
            for event_id, type_id, operation, key, queue_id, _ in rows
        ]
        has_mail = any(plan.is_email for queue in by_queue.values() for plan in queue)
        limits = {
            plan.subscription_id: plan.limit for queue in by_queue.values() for plan in queue if plan.limit
        }
        closings = close_digests.due({row[0]: row[3] for row in rows})
        return cls(facts, by_queue, Profiles.read() if has_mail else Profiles(), limits, closings)

    def drafts(self, fact: Fact) -> list[deliveries.Draft]:
        """Return the deliveries that one event becomes."""
        if closing := self.closings.get(fact.id):
            return [closing.draft] if closing.draft else []
        found = []
        for queue_id in sorted(fact.queue_ids):
            for plan in self.plans.get(queue_id, []):
                if not wants(plan, fact):
                    continue
                profile_id = self.profiles.choose(plan.profile_id, fact.type_id)
                found += [
                    deliveries.Draft(
                        event_id=fact.id,
                        subscription_id=plan.subscription_id,
                        recipient=address,
                        endpoint_id=plan.endpoint_id,
                        profile_id=profile_id if plan.is_email else None,
                        lane_key=fact.ordering_key if plan.is_ordered else None,
                        undeliverable=_undeliverable(plan, address, profile_id),
                    )
                    for address in recipients(plan, fact)
                ]
        return found


def _data(rows: list[Row]) -> dict[int, str]:
    """Return the payloads, which are most of what there is to read, and seldom needed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, data FROM events_event WHERE id = ANY(%s)", [[row[0] for row in rows]])
        return dict(cursor.fetchall())


class _LazyData(dict[str, object]):
    """The payload, parsed when a filter or an address token first asks for a value."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text: str | None = text

    def get(self, key: str, default: object = None) -> object:
        if self._text is not None:
            self.update(json.loads(self._text, parse_float=str))
            self._text = None
        return super().get(key, default)


def _undeliverable(plan: Plan, address: str, profile_id: int | None) -> str:
    if not plan.is_email:
        return ""
    if not address:
        wanted = ", ".join(plan.address_tokens)
        return (
            f"No recipient: {wanted} holds no valid address in this event."
            if wanted
            else "No recipient: nobody whom the subscription names is active and has an address."
        )
    return "" if profile_id else "No SMTP profile: make one the default, or name one in the subscription."


def _write(batch: _Batch, facts: list[Fact], *, is_second: bool) -> None:
    """Write the deliveries of these events; on a fault, halve until the guilty event stands alone."""
    try:
        with transaction.atomic():
            drafts = exclude([draft for fact in facts for draft in batch.drafts(fact)])
            deliveries.write(drafts, locks_more=bool(batch.limits or batch.closings))
            if batch.closings:
                closings = [batch.closings[fact.id] for fact in facts if fact.id in batch.closings]
                close_digests.close(closings)
            if batch.limits:
                collect([draft for draft in drafts if draft.event_id not in batch.closings], batch.limits)
    except Exception as error:
        if is_away(error):
            raise  # the database's trouble, not an event's: everything stays in the inbox
        if isinstance(error.__cause__, ForeignKeyViolation) and not is_second:
            raise _Outdated(str(error)) from error
        if len(facts) == 1:
            _quarantine(facts[0], error)
            return
        middle = len(facts) // 2
        _write(batch, facts[:middle], is_second=is_second)
        _write(batch, facts[middle:], is_second=is_second)


def _quarantine(fact: Fact, error: Exception) -> None:
    log.error("event quarantined", event_id=fact.id, error=repr(error))
    QuarantinedEvent.objects.create(
        event_id=fact.id, error="".join(traceback.format_exception(error)).replace("\0", "�")
    )
