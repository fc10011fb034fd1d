"""Try a rule on stored history: how often, for how many accounts, and three examples. Nothing is published.

A back-test says when it last made progress. One that has made none for a while is `interrupted`: its worker died, or
no worker took it. Whoever is handed its task later goes on with it, from the beginning.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from events.models import BackTest, Trigger

from . import rehearse_changes, rehearse_dates, rehearse_events, rehearse_silence
from .rules import of
from .tally import Tally

Source = Trigger.Source
Status = BackTest.Status
# Several times as long as a batch takes.
PATIENCE = timedelta(minutes=2)
# Below the time after which the cluster ends a task.
LONGEST = 540.0  # seconds
# Should the trial of a rule end its worker each time, it is not begun for ever.
RESUMED_FOR = timedelta(hours=1)
INTERRUPTED = "Nobody has gone on with it for two minutes: its worker ended, or none is free. Run it again."
TOO_LONG = "It took more than 9 minutes, and was ended with what it had found. Choose fewer days."

_REHEARSE: dict[str, Callable[[Tally, datetime], Iterator[tuple[int, int]]]] = {
    Source.CHANGE: rehearse_changes.rehearse,
    Source.THRESHOLD: rehearse_changes.rehearse,
    Source.DATE: rehearse_dates.rehearse,
    Source.COMMITMENT: rehearse_dates.rehearse,
    Source.SCHEDULE: rehearse_events.rehearse,
    Source.EVENT: rehearse_events.rehearse,
    Source.INACTIVITY: rehearse_silence.rehearse,
}


def start(trigger: Trigger, days: int, user: Any = None) -> BackTest:
    """Make the row of a back-test; `carry_out` does the work, here or in the background."""
    return BackTest.objects.create(trigger=trigger, days=days, requested_by=user)


def carry_out(pk: int, *, seconds: float | None = None) -> bool:
    """Carry out a back-test, with its progress in its row; False if `seconds` ended first, and it begins anew.

    A person's cancelling ends it at the next look.
    """
    test = BackTest.objects.select_related("trigger__event_type", "trigger__anchor").get(pk=pk)
    if test.status != Status.RUNNING:
        return True
    ends = timezone.now() + timedelta(seconds=seconds) if seconds is not None else None
    tally = Tally(rule=of(test.trigger))
    since = timezone.now() - timedelta(days=test.days)
    try:
        for looked_at, total in _REHEARSE[test.trigger.source](tally, since):
            tally.looked_at = looked_at
            if ends is not None and timezone.now() > ends:
                return False
            if not _progress(test, tally, total):
                return True
    except Exception as error:
        test.status, test.error = Status.FAILED, f"{type(error).__name__}: {error}"[:1000]
    else:
        test.status = Status.DONE
    test.total = test.looked_at = tally.looked_at
    test.ended_at = timezone.now()
    _write(test, tally, ["status", "error", "total", "ended_at"])
    return True


def go_on(pk: int) -> None:
    """Carry out a back-test in the background, also one that was interrupted lately."""
    lately = timezone.now() - RESUMED_FOR
    waiting = BackTest.objects.filter(pk=pk, status=Status.INTERRUPTED, created_at__gte=lately)
    waiting.update(status=Status.RUNNING, error="", ended_at=None, seen_at=timezone.now())
    if not carry_out(pk, seconds=LONGEST):
        running = BackTest.objects.filter(pk=pk, status=Status.RUNNING)
        running.update(status=Status.FAILED, error=TOO_LONG, ended_at=timezone.now())


def cancel(test: BackTest) -> bool:
    """Stop it; whether it was running."""
    running = BackTest.objects.filter(pk=test.pk, status=Status.RUNNING)
    return bool(running.update(status=Status.CANCELLED, ended_at=timezone.now()))


def end_interrupted() -> int:
    """End those that nobody goes on with; return how many."""
    now = timezone.now()
    silent = BackTest.objects.filter(status=Status.RUNNING, seen_at__lt=now - PATIENCE)
    return silent.update(status=Status.INTERRUPTED, error=INTERRUPTED, ended_at=now)


def _progress(test: BackTest, tally: Tally, total: int) -> bool:
    """Write how far it is; False once a person cancelled it."""
    test.looked_at, test.total = tally.looked_at, max(total, tally.looked_at)
    _write(test, tally, ["total"])
    # One that was taken for dead makes progress after all.
    BackTest.objects.filter(pk=test.pk, status=Status.INTERRUPTED).update(
        status=Status.RUNNING, error="", ended_at=None
    )
    return BackTest.objects.filter(pk=test.pk, status=Status.RUNNING).exists()


def _write(test: BackTest, tally: Tally, more: list[str]) -> None:
    test.fired, test.accounts = tally.fired, len(tally.accounts)
    test.result, test.seen_at = tally.result, timezone.now()
    test.save(update_fields=["looked_at", "fired", "accounts", "result", "seen_at", *more])
