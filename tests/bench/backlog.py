"""Finding work with 200,000 blocked deliveries and 1,000 dead endpoints around it, against that work alone.

The two databases differ in nothing else. Each look leases and fetches in a transaction that is
rolled back, so that every look finds the same work.
"""

import time
from contextlib import ExitStack
from typing import Any

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notifications import claim, fetch
from notifications.fan_out import fan_out
from notifications.models import Channel
from tests.bench import copies, offer, rows
from tests.bench.judge import Case, quantile
from tests.bench.run import Run

TARGET = 1.5
_ENDPOINTS = 16
_WORK = 3_200  # deliveries that can be sent, half of them in lanes
_LEASES = 8  # as many as a worker leases at once
_ROOM = 2

_LANES = """
INSERT INTO notifications_lane (subscription_id, key, recipient, channel_id, tail, next_sequence, due_at)
SELECT s.id, 'blocked:' || n, '', c.id, %(deep)s, 1, NULL
FROM generate_series(1, %(lanes)s) n
JOIN (SELECT id, endpoint_id, row_number() OVER (ORDER BY id) - 1 AS place FROM notifications_subscription) s
  ON s.place = n %% (SELECT count(*) FROM notifications_subscription)
JOIN notifications_channel c ON c.endpoint_id = s.endpoint_id AND c.shard = n / 32 %% 2
"""
_BLOCKED = """
INSERT INTO notifications_delivery
  (uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence, status, hold_cause, due_at,
   attempt_count, crash_count, last_error)
SELECT gen_random_uuid(), e.id, l.subscription_id, l.key || ':' || n, l.channel_id, l.id, n,
       CASE WHEN n = 1 THEN 'held' ELSE 'pending' END, CASE WHEN n = 1 THEN 'exhausted' ELSE '' END,
       CASE WHEN n > 1 THEN now() END, 0, 0, ''
FROM notifications_lane l, generate_series(1, %(deep)s) n, (SELECT min(id) AS id FROM events_event) e
WHERE l.key LIKE 'blocked:%%'
"""
_HEADS = """
UPDATE notifications_lane l SET blocked_by_id = d.id
FROM notifications_delivery d WHERE d.lane_id = l.id AND d.status = 'held'
"""
_DEAD_WORK = """
INSERT INTO notifications_delivery
  (uid, event_id, subscription_id, recipient, channel_id, status, hold_cause, due_at, attempt_count, crash_count,
   last_error)
SELECT gen_random_uuid(), e.id, s.id, 'dead:' || c.id || ':' || n, c.id, 'retrying', '',
       now() + interval '1 hour', 3, 0, 'no connection'
FROM notifications_channel c, generate_series(1, 5) n, (SELECT min(id) AS id FROM events_event) e,
     (SELECT min(id) AS id FROM notifications_subscription) s
WHERE c.endpoint_id > %(last)s
"""


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the 99th percentile of both databases."""
    looks = run.scale(1_000, 200)
    _prepare_work()
    with ExitStack() as stack:
        alone = stack.enter_context(copies.copied("alone"))
        behind = stack.enter_context(copies.copied("behind"))
        with copies.within(behind):
            run.progress.say("inserting 200,000 blocked deliveries and 1,000 dead endpoints")
            _pile_up()
        for each in (alone, behind):
            with copies.within(each):
                rows.analyse()
        slow, fast, medians = [], [], []
        rounds = run.rounds or 5
        run.progress.expect(rounds + 1)
        for number in range(rounds + 1):
            # One look each in turn, so that whatever else the machine does meets both.
            ours, theirs = zip(*((_look(behind), _look(alone)) for _ in range(looks)), strict=True)
            one, other = quantile(ours, 0.99), quantile(theirs, 0.99)
            label = f"round {number} of {rounds}" if number else "warm-up"
            run.progress.step(f"claim, {label}: p99 {one:.2f} ms against {other:.2f} ms")
            if number:
                slow.append(one)
                fast.append(other)
                medians.append((quantile(ours, 0.5), quantile(theirs, 0.5)))
    middle = sorted(medians)[len(medians) // 2]
    case = Case(
        name="claim p99",
        unit="ms",
        ours=slow,
        baseline=fast,
        target=TARGET,
        at_most=True,
        extra={"p50": round(middle[0], 2), "baseline_p50": round(middle[1], 2), "looks": looks},
    )
    return [case], {}


def _prepare_work() -> None:
    """Make the deliveries that can be sent, by way of the product's own fan-out."""
    in_order = rows.targets(_ENDPOINTS, is_ordered=True, prefix="ordered-").queues
    any_order = rows.targets(_ENDPOINTS, first=_ENDPOINTS).queues
    offer.publish_all(offer.drafts(in_order, _WORK // 2, keys=_WORK // 8))
    offer.publish_all(offer.drafts(any_order, _WORK // 2))
    while fan_out():
        pass


def _pile_up() -> None:
    """Put what is blocked on the very channels that have work, and dead endpoints beside them."""
    last = max(each for each in Channel.objects.values_list("endpoint_id", flat=True) if each)
    with transaction.atomic(), connection.cursor() as cursor:
        given = {"lanes": 2_000, "deep": 100, "last": last}
        for statement in (_LANES, _BLOCKED, _HEADS):
            cursor.execute(statement, given)
        dead = rows.endpoints(1_000)
        cursor.execute(
            """UPDATE notifications_channel
               SET due_at = now() + interval '1 hour', not_before = now() + interval '1 hour'
               WHERE endpoint_id = ANY(%s)""",
            [dead],
        )
        cursor.execute(_DEAD_WORK, given)
        cursor.execute(
            """SELECT count(*) FROM notifications_delivery
               WHERE lane_id IN (SELECT id FROM notifications_lane WHERE blocked_by_id IS NOT NULL)"""
        )
        assert cursor.fetchone()[0] == 200_000


def _look(database: BaseDatabaseWrapper) -> float:
    """Return how many milliseconds it takes to lease channels and to fetch what is due on them."""
    with copies.within(database), transaction.atomic():
        began = time.perf_counter()
        leases = claim.lease("bench", limit=_LEASES)
        for lease in leases:
            lease.room = _ROOM
        work = fetch.fetch(leases, alone=False)
        seconds = time.perf_counter() - began
        transaction.set_rollback(True)
    if len(leases) != _LEASES or not work.claimed:
        raise RuntimeError(
            f"{len(leases)} channels leased and {len(work.claimed)} deliveries found: no fair look"
        )
    return seconds * 1000
