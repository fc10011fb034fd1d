"""Writing results down: one statement for a batch, fenced by epoch and lease.

The statement can be repeated as it is: an attempt that is in the log already changes nothing, so a
connection lost during its COMMIT costs a second try and no truth.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from events import prepared
from events.prepared import array

from .claim import Lease
from .fetch import Claimed
from .judge import Decision
from .transports.base import Outcome


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was tried (or could not be: no outcome), and what was decided."""

    attempt_id: UUID
    claimed: Claimed
    decision: Decision
    outcome: Outcome | None
    error: str


_SETTLE = """
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(results)s::json) AS r(
    attempt_id uuid, delivery_id bigint, channel_id bigint, epoch bigint, number int,
    status text, hold_cause text, wait float8, spends bool, error text,
    verdict text, code int, error_class text, detail text, ms int,
    address text, request_headers text, response_headers text, response_body text, provider_id text,
    started_at timestamptz, dns_ms int, connect_ms int, tls_ms int, first_byte_ms int, is_reused bool)
), held AS MATERIALIZED (
  SELECT c.id, c.epoch, h.done, t.until, c.leased_until < t.until - interval '4 s' AS is_old
  FROM (SELECT clock_timestamp() + make_interval(secs => %(lease)s::float8) AS until) t, notifications_channel c
  JOIN (SELECT g.id, g.epoch, array_agg(f.id) AS done
        FROM unnest(%(held)s::bigint[], %(held_epoch)s::bigint[]) AS g(id, epoch)
        LEFT JOIN unnest(%(free)s::bigint[], %(free_of)s::bigint[], %(free_epoch)s::bigint[])
          AS f(id, channel_id, epoch) ON f.channel_id = g.id AND f.epoch = g.epoch
        GROUP BY g.id, g.epoch) h
    ON h.id = c.id AND h.epoch = c.epoch
  WHERE c.leased_until > clock_timestamp()
  ORDER BY c.id FOR UPDATE OF c
), attempts AS (
  INSERT INTO notifications_attempt
    (id, delivery_id, number, verdict, status_code, error_class, detail, duration_ms, address, request_headers,
     response_headers, response_body, provider_id, worker, epoch, is_fenced, started_at,
     dns_ms, connect_ms, tls_ms, first_byte_ms, is_reused)
  SELECT r.attempt_id, r.delivery_id, r.number, r.verdict, r.code, r.error_class, r.detail, r.ms, r.address,
         r.request_headers, r.response_headers, r.response_body, r.provider_id, %(worker)s::text, r.epoch,
         held.id IS NULL, r.started_at, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.is_reused
  FROM r LEFT JOIN held ON held.id = r.channel_id AND held.epoch = r.epoch
  WHERE r.verdict IS NOT NULL
  ON CONFLICT (id, started_at) DO NOTHING
  RETURNING id
), deliveries AS (
  UPDATE notifications_delivery d SET
    status = r.status, hold_cause = r.hold_cause, last_error = r.error,
    due_at = CASE WHEN r.wait IS NULL THEN NULL ELSE clock_timestamp() + make_interval(secs => r.wait) END,
    attempt_count = d.attempt_count + r.spends::int,
    -- A try that the worker outlived exonerates.
    crash_count = CASE WHEN r.verdict IS NULL THEN d.crash_count ELSE 0 END,
    settled_at = CASE WHEN r.status IN ('delivered', 'dead') THEN clock_timestamp() END
  FROM r JOIN held ON held.id = r.channel_id AND held.epoch = r.epoch
  WHERE d.id = r.delivery_id AND d.status IN ('pending', 'retrying')
    AND (r.verdict IS NULL OR r.attempt_id IN (SELECT id FROM attempts))
), lanes AS (
  UPDATE notifications_lane l SET
    next_sequence = GREATEST(l.next_sequence, x.next_sequence),
    blocked_by_id = x.blocked_by,
    due_at = CASE WHEN x.blocked_by IS NOT NULL THEN NULL
                  WHEN x.wait IS NOT NULL THEN clock_timestamp() + make_interval(secs => x.wait)
                  WHEN GREATEST(l.next_sequence, x.next_sequence) > l.tail THEN NULL
                  -- Indexed, and so left alone for a while: lanes take turns all the same.
                  WHEN l.due_at BETWEEN clock_timestamp() - interval '5 s' AND clock_timestamp() THEN l.due_at
                  ELSE clock_timestamp() END
  FROM unnest(%(lane)s::bigint[], %(lane_of)s::bigint[], %(lane_epoch)s::bigint[], %(next)s::bigint[],
              %(lane_wait)s::float8[], %(blocked)s::bigint[])
    AS x(id, channel_id, epoch, next_sequence, wait, blocked_by)
  JOIN held ON held.id = x.channel_id AND held.epoch = x.epoch
  WHERE l.id = x.id
), channels AS (
  -- due_at is indexed: left alone as long as may be, the row changes in its place.
  UPDATE notifications_channel c SET
    leased_until = CASE WHEN held.is_old THEN held.until ELSE c.leased_until END,
    due_at = CASE WHEN held.is_old THEN held.until ELSE c.due_at END,
    in_flight = ARRAY(SELECT unnest(c.in_flight) EXCEPT ALL SELECT unnest(held.done))
  FROM held
  WHERE c.id = held.id AND c.epoch = held.epoch
)
SELECT id, is_old FROM held
"""


def settle(
    results: Sequence[Result], *, leases: Iterable[Lease], freed: Sequence[Claimed], worker: str
) -> None:
    """Write results, renew what is some seconds old of the leases, and take settled and unsent ids off them.

    A lease that has run out is marked lost; its results are logged as late and change nothing.
    `freed` are deliveries that were taken and not sent: they go back as they were.
    """
    given = {lease.channel_id: lease for lease in leases}
    done = [result.claimed for result in results] + list(freed)
    safe_until = time.monotonic() + settings.DELIVERY_LEASE_SECONDS
    parameters = _lanes(results) | {
        "results": msgspec.json.encode([_row(result) for result in results]).decode(),
        "held": array(given),
        "held_epoch": array(lease.epoch for lease in given.values()),
        "free": array(one.id for one in done),
        "free_of": array(one.channel_id for one in done),
        "free_epoch": array(one.epoch for one in done),
        "lease": settings.DELIVERY_LEASE_SECONDS,
        "worker": worker,
    }  # fmt: skip
    kept = dict(prepared.run(_SETTLE, parameters))
    for channel_id, lease in given.items():
        if channel_id not in kept:
            lease.is_lost = True
        elif kept[channel_id]:
            lease.safe_until = safe_until


def _row(result: Result) -> dict[str, Any]:
    """Return a result as the statement reads it. One JSON text is cheaper to bind than twenty arrays."""
    claimed, decision, outcome = result.claimed, result.decision, result.outcome
    row = {
        "attempt_id": result.attempt_id,
        "delivery_id": claimed.id,
        "channel_id": claimed.channel_id,
        "epoch": claimed.epoch,
        "number": claimed.attempt_count + 1,
        "status": decision.status,
        "hold_cause": decision.hold_cause,
        "wait": decision.wait.total_seconds() if decision.wait is not None else None,
        "spends": decision.spends_attempt,
        "error": result.error,
    }
    if outcome is None:
        return row
    return row | {
        "verdict": outcome.verdict.value,
        "code": outcome.status_code,
        "error_class": outcome.error_class,
        "detail": outcome.detail,
        "ms": round(outcome.duration.total_seconds() * 1000),
        "address": outcome.address,
        "request_headers": outcome.request_headers,
        "response_headers": outcome.response_headers,
        "response_body": outcome.response_body,
        "provider_id": outcome.provider_id,
        "started_at": outcome.started_at,
        "dns_ms": outcome.dns_ms,
        "connect_ms": outcome.connect_ms,
        "tls_ms": outcome.tls_ms,
        "first_byte_ms": outcome.first_byte_ms,
        "is_reused": outcome.is_reused,
    }


def _lanes(results: Sequence[Result]) -> dict[str, Any]:
    """Fold the results of each lane, which come in its order, into where its head is now."""
    heads: dict[int, tuple[Result, int, float | None, int | None]] = {}
    for result in results:
        claimed, decision = result.claimed, result.decision
        if claimed.lane_id is None or claimed.sequence is None:
            continue
        if decision.lane_goes_on:
            heads[claimed.lane_id] = (result, claimed.sequence + 1, None, None)
        elif decision.status == "held":
            heads[claimed.lane_id] = (result, claimed.sequence, None, claimed.id)
        else:
            wait = decision.wait.total_seconds() if decision.wait is not None else 0.0
            heads[claimed.lane_id] = (result, claimed.sequence, wait, None)
    return {
        "lane": array(heads),
        "lane_of": array(head[0].claimed.channel_id for head in heads.values()),
        "lane_epoch": array(head[0].claimed.epoch for head in heads.values()),
        "next": array(head[1] for head in heads.values()),
        "lane_wait": array(head[2] for head in heads.values()),
        "blocked": array(head[3] for head in heads.values()),
    }
