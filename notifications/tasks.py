"""What django-q2 runs for us."""

from django.conf import settings

from . import divert as diversion
from . import finish_digests, parking, partitions, replay, rotate
from .agenda import read_agenda
from .engine import Engine
from .nudge import start_drain
from .runners import count_alive

# Well under the task's timeout, with room for the sends under way to end.
DRAIN_BUDGET = 20.0  # seconds
# Work that falls due within this time keeps a drain waiting for it; later work is the schedule's.
HORIZON = 120.0  # seconds


def drain() -> int:
    """Deliver what is due for at most 20 s; return how many tries were settled.

    Any number of these may be queued: one too many ends at once.
    """
    if count_alive() >= settings.Q_WORKERS:
        return 0
    return Engine(budget=DRAIN_BUDGET, hand_over=_go_on).run()


def _go_on() -> None:
    """Queue the next drain if there is work for it.

    The worker's row is gone by now: an event committed before this look is seen here, one committed
    after it finds no worker and queues a drain itself.
    """
    if read_agenda().next_in < HORIZON:
        start_drain()


def go_on() -> int:
    """Take back what was held for a pause that is over or went out in a digest, should nobody have come so far."""
    finish_digests.remind()
    return parking.go_on() + finish_digests.finish()


def carry_on_replays() -> int:
    """Reopen what is left of the replays that were ordered."""
    return replay.carry_on_all()


def divert() -> int:
    """Send by another SMTP profile what waits, where the choice has changed since it was made."""
    return diversion.divert()


def make_partitions() -> list[str]:
    """Create next months' partitions."""
    return partitions.ensure()


def sweep_secrets() -> int:
    """Delete the signing secrets whose overlap is over."""
    return rotate.sweep()


def beat() -> None:
    """Do nothing: that it was done is the proof that the cluster lives."""
