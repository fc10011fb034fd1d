"""Leasing channels, and giving them back. Delivery rows are never scanned for work.

A leased channel's due_at is the end of its lease, so an expired lease is simply due again and the
same index finds both. Times are the database's; a worker measures its own lease on its monotonic
clock from before the statement, so it always believes in less than it has.
"""

import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from .crashes import account_for_crash
from .runners import ALIVE

if TYPE_CHECKING:
    from .pace import Pace
    from .sending import Run

# A lane's next deliveries may leave before the acceptance of the ones before them is settled, at most so many.
# So long are runs, too; in any order that only saves statements.
PIPELINE = 8
_DUE = """due_at <= now() AND NOT is_paused
  AND (circuit_id <> ALL(%(served)s::bigint[]) OR due_at <= now() - interval '1 s')"""
# Where a destination takes one send at a time, a worker gives way to the other channel's after so many seconds.
TURN = 0.25
_REST = 0.06  # seconds; longer than the other needs to look again
# The length of a run where there are fewer than threads: it goes on while its beginning is settled.
DEEP = 32


@dataclass(slots=True, kw_only=True)
class Lease:
    """A channel that this process holds, and until when it may start sends on it."""

    channel_id: int
    circuit_id: int
    endpoint_id: int | None
    profile_id: int | None
    shard: int
    epoch: int
    since: float = field(default_factory=time.monotonic)  # monotonic seconds
    safe_until: float  # monotonic seconds
    is_open: bool = False  # its circuit is: nothing may be sent but a probe
    probes: bool = False  # this lease may send it
    is_ailing: bool = False  # the circuit counts failures, which a success ends
    has_backlog: bool = False  # that goes at a rate of its own
    seconds_since_closed: float | None = None  # its circuit recovers
    room: int = 1  # runs that may be added now
    ahead: int = 0  # of these, those that wait until one of its runs has ended
    depth: int = PIPELINE  # deliveries in each
    tokens: int = 0  # of its rate limit, taken for the next fetch
    has_rival: bool = False  # another worker holds one of its channels, and waits for its turn
    is_single: bool = False  # its destination takes one at a time, over all of its channels
    runs: int = 0  # handed to the threads and not ended
    followers: deque["Run"] = field(default_factory=deque)  # each takes the place of a run that went well
    pace: "Pace | None" = None  # theirs
    wake: int = -1
    is_lost: bool = False
    is_paused: bool = False  # by an administrator or by a fault of its own, or it rests
    is_given: bool = False  # to another worker, as soon as nothing of it is under way
    may_have_work: bool = True
    has_suspects: bool = False  # two workers in a row died on some of it
    served_at: float = 0.0  # monotonic seconds
    busy: dict[int, int | None] = field(default_factory=dict)  # deliveries taken and not settled: id and lane

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be sent under it."""
        return self.is_lost or self.is_paused or self.is_given

    @property
    def destination(self) -> tuple[int | None, int | None]:
        """What it belongs to: the ids of its endpoint and its SMTP profile."""
        return self.endpoint_id, self.profile_id

    @property
    def is_done(self) -> bool:
        """Whether it can be given back."""
        return not self.runs and not self.busy and (self.is_over or not self.may_have_work)

    def follower(self) -> "Run | None":
        """Take the next run that was lined up, if any is left. Sending threads call it, too."""
        try:
            return self.followers.popleft()
        except IndexError:
            return None


def lease(owner: str, *, limit: int, served: Collection[int] = ()) -> list[Lease]:
    """Lease due channels for `owner`: up to `limit`, and of few no more than its share, as others look for work too.

    Those of the circuits in `served` are left to others at first. Accounts for what a dead holder may have sent.
    """
    safe_until = time.monotonic() + settings.DELIVERY_LEASE_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(
            # Materialized: some plans of a join would run the choice again for each row.
            f"""WITH p AS MATERIALIZED (
                 SELECT id FROM notifications_channel WHERE {_DUE} ORDER BY due_at LIMIT (
                   SELECT ceil(due.count / alive.count)
                   FROM (SELECT GREATEST(count(*), 1.0) AS count FROM notifications_runner
                         WHERE seen_at > clock_timestamp() - {ALIVE}) alive
                   CROSS JOIN LATERAL (
                     SELECT count(*) FROM (SELECT FROM notifications_channel
                       WHERE {_DUE} LIMIT %(limit)s * alive.count) d) due)
                 FOR UPDATE SKIP LOCKED)
               UPDATE notifications_channel c
               SET leased_until = t.until, due_at = t.until, owner = %(owner)s, epoch = c.epoch + 1
               FROM p, notifications_circuit k,
                    (SELECT clock_timestamp() + make_interval(secs => %(seconds)s) AS until) t
               WHERE c.id = p.id AND k.id = c.circuit_id
               RETURNING c.id, c.circuit_id, c.endpoint_id, c.profile_id, c.shard, c.epoch,
                 k.opened_at IS NOT NULL, k.failures > 0, extract(epoch FROM now() - k.closed_at)::float8,
                 k.backlog_left > 0, c.in_flight""",  # noqa: S608 - constants of ours
            {
                "limit": limit,
                "owner": owner,
                "seconds": settings.DELIVERY_LEASE_SECONDS,
                "served": list(served),
            },
        )
        rows = cursor.fetchall()
    leases = []
    for (
        channel,
        circuit,
        endpoint,
        profile,
        shard,
        epoch,
        is_open,
        is_ailing,
        closed,
        has_backlog,
        in_flight,
    ) in rows:
        if in_flight:
            account_for_crash(channel, epoch, in_flight, owner)
        leases.append(
            Lease(
                channel_id=channel,
                circuit_id=circuit,
                endpoint_id=endpoint,
                profile_id=profile,
                shard=shard,
                epoch=epoch,
                is_open=is_open,
                is_ailing=is_ailing,
                seconds_since_closed=closed,
                has_backlog=has_backlog,
                safe_until=safe_until,
            )
        )
    return leases


def release(leases: Iterable[Lease]) -> None:
    """Give channels back, due when their next work is; at once if any came since it was looked for.

    Idleness is decided by the wake counter of the locked row: a sub-select would see the state
    from before the row lock was won, and lose a wake-up.
    """
    given = list(leases)
    ids = [lease.channel_id for lease in given]
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_channel c SET leased_until = NULL, owner = '', in_flight = '{}',
                 due_at = CASE WHEN c.wake <> s.wake THEN GREATEST(s.soonest, c.not_before)
                               WHEN s.next_due IS NULL THEN NULL
                               ELSE GREATEST(s.next_due, s.soonest, c.not_before) END
               FROM (SELECT id FROM notifications_channel WHERE id = ANY(%s) ORDER BY id FOR UPDATE) locked,
                    (SELECT h.id, h.epoch, h.wake, now() + make_interval(secs => h.rest) AS soonest, LEAST(
                       (SELECT min(d.due_at) FROM notifications_delivery d
                        WHERE d.channel_id = h.id AND d.lane_id IS NULL AND d.status IN ('pending', 'retrying')),
                       (SELECT min(l.due_at) FROM notifications_lane l
                        WHERE l.channel_id = h.id AND l.due_at IS NOT NULL)) AS next_due
                     FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::float8[])
                       h(id, epoch, wake, rest)) s
               -- Past its lease it is left as it is: whoever takes over has to know what was in flight.
               WHERE c.id = s.id AND c.epoch = s.epoch AND locked.id = c.id AND c.leased_until > clock_timestamp()""",
            [
                ids,
                ids,
                [x.epoch for x in given],
                [x.wake for x in given],
                [_REST if x.has_rival else 0.0 for x in given],
            ],
        )
