"""Write down why rules did, or did not, fire: gathered in a batch, written with it, bounded a rule and day."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from events import catalog_cache
from events.models import Event, LedgerEntry, TriggerDay
from events.signals import hearers_asked

from .conditions import Finding

Outcome = LedgerEntry.Outcome
# Beyond settings.TRIGGER_LEDGER_MOST_A_DAY a rule and day, these are counted and not written.
_BOUNDED = (Outcome.NOT_MET, Outcome.ALREADY)


class Ledger:
    """The entries of one batch. Written by `flush()`, in the caller's transaction."""

    def __init__(self) -> None:
        self._rows: list[LedgerEntry] = []
        self._silences: dict[int, str] = {}

    def note(
        self,
        trigger_id: int,
        outcome: str,
        *,
        detail: str = "",
        findings: Sequence[Finding] = (),
        **where: Any,
    ) -> None:
        """Keep one entry. `where` are fields of LedgerEntry: kind, external_id, account, tier, period, …"""
        self._rows.append(
            LedgerEntry(
                trigger_id=trigger_id,
                outcome=outcome,
                detail=detail,
                findings=[
                    {"condition": str(each.condition), "met": each.is_met, "seen": each.seen}
                    for each in findings
                ],
                at=timezone.now(),
                **where,
            )
        )

    def silence(self, event_type_id: int) -> str:
        """Return in a sentence why nobody would hear of an event of the type; empty if somebody would."""
        if event_type_id not in self._silences:
            self._silences[event_type_id] = _silence(event_type_id)
        return self._silences[event_type_id]

    @property
    def fired(self) -> int:
        """How many events were published."""
        return sum(row.event_id is not None and row.outcome != Outcome.RECOVERED for row in self._rows)

    def mark(self) -> int:
        """Return how far it has come, for `forget`."""
        return len(self._rows)

    def forget(self, mark: int) -> None:
        """Drop what was noted after the mark: the savepoint it belongs to was rolled back."""
        del self._rows[mark:]

    def flush(self) -> None:
        """Write what was gathered, and count it."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        today = datetime.now(UTC).date()
        counted = _count(Counter((row.trigger_id, row.outcome) for row in rows), today)
        kept = []
        for row in reversed(rows):  # of those that must go, the first ones go
            key = (row.trigger_id, row.outcome)
            counted[key] -= 1
            if row.outcome not in _BOUNDED or counted[key] < settings.TRIGGER_LEDGER_MOST_A_DAY:
                kept.append(row)
        LedgerEntry.objects.bulk_create(reversed(kept), batch_size=500)


def _silence(event_type_id: int) -> str:
    entry = catalog_cache.get(event_type_id)
    if not entry.queues:
        return f"No queue takes {entry.code}, so nobody is told; route it under Queues."
    answers = [told for _, told in hearers_asked.send(Event, event_type_id=event_type_id)]
    return " ".join(told for told in answers if told)


def _count(numbers: Counter[tuple[int, str]], today: date) -> dict[tuple[int, str], int]:
    """Add to the day's counts, and return the new ones."""
    table = TriggerDay._meta.db_table
    counted = {}
    with connection.cursor() as cursor:
        # In one order, so that two batches cannot deadlock.
        for (trigger_id, outcome), number in sorted(numbers.items()):
            cursor.execute(
                f"INSERT INTO {table} AS known (trigger_id, day, outcome, count) VALUES (%s, %s, %s, %s) "  # noqa: S608
                "ON CONFLICT (trigger_id, day, outcome) DO UPDATE SET count = known.count + excluded.count "
                "RETURNING count",
                [trigger_id, today, outcome, number],
            )
            counted[trigger_id, outcome] = cursor.fetchone()[0]
    return counted
