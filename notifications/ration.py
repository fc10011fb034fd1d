"""Keeping rate limits exactly, however many workers serve a destination: tokens in its circuit's row.

A destination's own rate and that of a backlog which an operator let go hold at the same time: the lower
one counts. Tokens that were not used are given back.
"""

from collections.abc import Mapping

from events import prepared
from events.prepared import array

# Tokens gather for a second at most, so that a limit holds within each short while too.
_GATHERED = 1.0  # seconds

_TAKE = """
WITH wanted AS (
  SELECT * FROM unnest(%s::bigint[], %s::int[]) AS w(id, most)
), locked AS (
  SELECT k.id, w.most, k.tokens, k.tokens_at, k.backlog_left, r.per_second
  FROM notifications_circuit k JOIN wanted w ON w.id = k.id
  LEFT JOIN notifications_endpoint e ON e.id = k.endpoint_id
  LEFT JOIN smtpprofiles_smtpprofile p ON p.id = k.profile_id
  CROSS JOIN LATERAL (SELECT LEAST(
    coalesce(e.rate_per_minute, p.rate_per_minute),
    CASE WHEN k.backlog_left > 0 THEN k.backlog_per_minute END) / 60.0 AS per_second) r
  ORDER BY k.id FOR UPDATE OF k
), have AS (
  SELECT id, most, backlog_left, per_second, GREATEST(0, LEAST(
    GREATEST(1, per_second * %s::numeric),
    tokens + coalesce(extract(epoch FROM clock_timestamp() - tokens_at), 86400) * per_second)) AS tokens
  FROM locked
), granted AS (
  SELECT *, CASE WHEN per_second IS NULL THEN most ELSE LEAST(most, floor(tokens))::int END AS n FROM have
), taken AS (
  UPDATE notifications_circuit k SET
    tokens = coalesce(g.tokens - g.n, 0), tokens_at = clock_timestamp(),
    backlog_left = GREATEST(0, g.backlog_left - g.n)
  FROM granted g WHERE k.id = g.id
)
SELECT id, n, CASE WHEN per_second IS NULL THEN 0 ELSE (1 - (tokens - n)) / per_second END::float8 FROM granted
"""


def take(wanted: Mapping[int, int]) -> dict[int, tuple[int, float]]:
    """Take up to so many tokens of these circuits; return how many were granted, and the seconds to the next."""
    rows = prepared.run(_TAKE, [array(wanted), array(wanted.values()), str(_GATHERED)])
    return {circuit: (granted, wait) for circuit, granted, wait in rows}


def give_back(unused: Mapping[int, int]) -> None:
    """Give back tokens that no send used; a backlog counts on where it was."""
    prepared.run(
        """UPDATE notifications_circuit k SET tokens = k.tokens + u.n,
             backlog_left = CASE WHEN k.backlog_per_minute IS NULL OR k.backlog_left = 0
                                 THEN k.backlog_left ELSE k.backlog_left + u.n END
           FROM (SELECT k.id, u.n FROM notifications_circuit k
                 JOIN unnest(%s::bigint[], %s::int[]) AS u(id, n) ON u.id = k.id
                 ORDER BY k.id FOR UPDATE OF k) u
           WHERE k.id = u.id""",
        [array(unused), array(unused.values())],
    )
