"""Keeping the circuits of endpoints and profiles in step with how sends go.

Rows are locked as everywhere: channels by id, then circuits by id, then lanes and deliveries. A healthy
destination costs nothing here: only failures, and the first success after them, are written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from . import breaker, channels
from .breaker import Answer, State
from .claim import Lease
from .runners import ALIVE

log = structlog.get_logger(__name__)

_COLUMNS = tuple(field.name for field in fields(State))
# A probe that nobody reports on, because its worker died, is given up this long after it may have begun.
_PROBE_ENDS = "interval '25 s'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Careful:
    """How many sends may hang at once in one worker, and how long each at most (seconds)."""

    slots: int
    deadline: float


def record(
    answers: Mapping[int, Sequence[Answer]], leases: Mapping[int, Lease], careful: Careful
) -> dict[int, State]:
    """Write what these answers, by circuit, say of their destinations; return the new states.

    `leases` names one running lease for each circuit: a worker that has lost it changes nothing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        held = _locked(cursor, answers)
        ours = [circuit for circuit in answers if _fence(leases[circuit]) in held]
        states, now, crowd = _read(cursor, ours, careful)
        after = {pk: breaker.after(state, answers[pk], now=now) for pk, state in states.items()}
        _write(cursor, after)
        for pk, state in after.items():
            if state.is_open and not states[pk].is_open:
                log.warning("circuit opened", circuit=pk, failures=state.failures)
                _offer_a_probe(cursor, pk)
            if states[pk].is_open and not state.is_open:
                log.info("circuit closed", circuit=pk)
                _all_is_due(cursor, pk)
            until = breaker.rest(state, now=now, crowd=crowd)
            _rest(cursor, pk, until, "open" if state.is_open else "hanging")
    return {pk: state for pk, state in after.items() if breaker.is_lost_cause(state, now=now)}


def take_probes(leases: Iterable[Lease]) -> None:
    """Let at most one channel of each open circuit probe now; the others wait for what it finds."""
    by_circuit = {lease.circuit_id: lease for lease in leases}
    with transaction.atomic(), connection.cursor() as cursor:
        held = _locked(cursor, by_circuit)
        for circuit, lease in sorted(by_circuit.items()):
            if _fence(lease) not in held:
                lease.is_lost = True
                continue
            cursor.execute(
                f"""SELECT opened_at IS NULL, probe_at <= clock_timestamp(), probe_at,
                           GREATEST(probe_at, clock_timestamp() + {_PROBE_ENDS})
                    FROM notifications_circuit WHERE id = %s FOR UPDATE""",  # noqa: S608 - a constant of ours
                [circuit],
            )
            is_closed, is_due, probe_at, until = cursor.fetchone()
            lease.is_open, lease.probes = not is_closed, bool(is_due)
            if not is_closed and is_due:
                cursor.execute(
                    "UPDATE notifications_circuit SET probe_at = %s WHERE id = %s", [until, circuit]
                )
                _rest(cursor, circuit, until, "open", but=lease.channel_id)
            elif not is_closed:
                lease.is_paused = True
                # Or it would be due again at once.
                cursor.execute(
                    """UPDATE notifications_channel SET not_before = GREATEST(not_before, %(at)s),
                         rest_cause = CASE WHEN not_before > %(at)s THEN rest_cause ELSE 'open' END
                       WHERE id = %(channel)s""",
                    {"at": probe_at, "channel": lease.channel_id},
                )


def give_back_probe(lease: Lease) -> None:
    """Let another channel of the circuit probe at once: this one found nothing to send."""
    lease.probes, lease.is_paused = False, True
    with transaction.atomic(), connection.cursor() as cursor:
        if _fence(lease) not in _locked(cursor, [lease.circuit_id]):
            return
        cursor.execute(
            """UPDATE notifications_circuit SET probe_at = clock_timestamp()
               WHERE id = %s AND opened_at IS NOT NULL""",
            [lease.circuit_id],
        )
        cursor.execute(
            """UPDATE notifications_channel SET not_before = now(),
                 due_at = CASE WHEN leased_until IS NULL AND due_at IS NOT NULL THEN now() ELSE due_at END
               WHERE circuit_id = %s AND rest_cause = 'open'""",
            [lease.circuit_id],
        )
        _offer_a_probe(cursor, lease.circuit_id)


def _fence(lease: Lease) -> tuple[int, int, bool]:
    return lease.channel_id, lease.epoch, True


def _locked(cursor: CursorWrapper, circuits: Iterable[int]) -> set[tuple[int, int, bool]]:
    """Lock the channels of these circuits; return id, epoch and "its lease runs" of each."""
    cursor.execute(
        """SELECT id, epoch, coalesce(leased_until > clock_timestamp(), false) FROM notifications_channel
           WHERE circuit_id = ANY(%s) ORDER BY id FOR UPDATE""",
        [list(circuits)],
    )
    return set(cursor.fetchall())


def _read(
    cursor: CursorWrapper, circuits: list[int], careful: Careful
) -> tuple[dict[int, State], datetime, timedelta]:
    """Lock the circuits; return their states, the time, and how long a hanging receiver has to rest."""
    cursor.execute(
        f"""SELECT id, {", ".join(_COLUMNS)} FROM notifications_circuit
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE""",  # noqa: S608 - the columns of State
        [circuits],
    )
    states = {pk: State(**dict(zip(_COLUMNS, row, strict=True))) for pk, *row in cursor.fetchall()}
    cursor.execute(
        f"""SELECT clock_timestamp(),
              (SELECT count(*) FROM notifications_circuit k WHERE timeouts > 0 AND EXISTS (
                 -- Those that are paused or have nothing to send take no thread.
                 SELECT FROM notifications_channel c
                 WHERE c.circuit_id = k.id AND c.due_at IS NOT NULL AND NOT c.is_paused)),
              (SELECT count(*) FROM notifications_runner WHERE seen_at > clock_timestamp() - {ALIVE})"""  # noqa: S608
    )
    now, hanging, runners = cursor.fetchone()
    # hanging x deadline / interval fits the slots; the deadline itself has passed already.
    wait = hanging * careful.deadline / (careful.slots * max(1, runners)) - careful.deadline
    return states, now, timedelta(seconds=max(0.0, wait))


def _write(cursor: CursorWrapper, states: Mapping[int, State]) -> None:
    cursor.executemany(
        f"""UPDATE notifications_circuit SET {", ".join(f"{name} = %s" for name in _COLUMNS)}
            WHERE id = %s""",  # noqa: S608 - the columns of State
        [(*astuple(state), pk) for pk, state in states.items()],
    )


def _rest(cursor: CursorWrapper, circuit: int, until: datetime | None, cause: str, *, but: int = 0) -> None:
    """Let the circuit's channels wait until then; None: what waited for it, waits no longer."""
    parameters: dict[str, Any] = {"circuit": circuit, "until": until, "cause": cause, "but": but}
    if until is None:
        cursor.execute(
            """UPDATE notifications_channel SET not_before = NULL, rest_cause = '', wake = wake + 1,
                 due_at = CASE WHEN leased_until IS NULL THEN now() ELSE due_at END
               WHERE circuit_id = %(circuit)s AND rest_cause IN ('open', 'hanging')""",
            parameters,
        )
        return
    # What the receiver asked for itself is kept, where it is longer.
    cursor.execute(
        """UPDATE notifications_channel SET
             rest_cause = CASE WHEN rest_cause = 'asked' AND not_before > %(until)s
                               THEN rest_cause ELSE %(cause)s END,
             not_before = CASE WHEN rest_cause = 'asked' THEN GREATEST(not_before, %(until)s) ELSE %(until)s END,
             due_at = CASE WHEN leased_until IS NULL AND due_at IS NOT NULL
                           THEN GREATEST(due_at, %(until)s) ELSE due_at END
           WHERE circuit_id = %(circuit)s AND id <> %(but)s""",
        parameters,
    )


def _offer_a_probe(cursor: CursorWrapper, circuit: int) -> None:
    """Make one delivery due, for the probe not to wait for somebody's next step of the schedule."""
    offered = []
    cursor.execute(
        """UPDATE notifications_delivery SET due_at = now() WHERE id = (
             SELECT d.id FROM notifications_channel c CROSS JOIN LATERAL (
               SELECT id, due_at FROM notifications_delivery
               WHERE channel_id = c.id AND lane_id IS NULL AND status IN ('pending', 'retrying')
                 AND id <> ALL(c.in_flight)  -- what was tried just now may wait for its answer to be settled
               ORDER BY due_at LIMIT 1) d
             WHERE c.circuit_id = %(circuit)s ORDER BY d.due_at LIMIT 1) AND due_at > now()
           RETURNING channel_id""",
        {"circuit": circuit},
    )
    offered += cursor.fetchall()
    cursor.execute(
        """UPDATE notifications_lane SET due_at = now() WHERE id = (
             SELECT l.id FROM notifications_channel c CROSS JOIN LATERAL (
               SELECT id, due_at FROM notifications_lane
               WHERE channel_id = c.id AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) l
             WHERE c.circuit_id = %(circuit)s ORDER BY l.due_at LIMIT 1) AND due_at > now()
           RETURNING channel_id""",
        {"circuit": circuit},
    )
    offered += cursor.fetchall()
    # Whoever gives one of these back meanwhile has not seen it.
    channels.wake(channel for (channel,) in offered)


def _all_is_due(cursor: CursorWrapper, circuit: int) -> None:
    """Make due what waits for its next try; lanes keep their order."""
    cursor.execute(
        """UPDATE notifications_lane SET due_at = now() WHERE due_at > now() AND channel_id IN (
             SELECT id FROM notifications_channel WHERE circuit_id = %s)""",
        [circuit],
    )
    cursor.execute(
        """UPDATE notifications_delivery SET due_at = now()
           WHERE due_at > now() AND lane_id IS NULL AND status IN ('pending', 'retrying')
             AND channel_id IN (SELECT id FROM notifications_channel WHERE circuit_id = %s)""",
        [circuit],
    )
