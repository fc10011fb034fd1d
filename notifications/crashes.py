"""Accounting for what a worker that died may have sent."""

from django.db import connection, transaction

# A delivery that took its worker down this often is held: it may be what kills them.
CRASHES = 3


def account_for_crash(channel_id: int, epoch: int, ids: list[int], owner: str) -> None:
    """Log what the dead holder may have sent as attempts; hold what took a worker down three times."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_channel SET in_flight = '{}' WHERE id = %s AND epoch = %s RETURNING id""",
            [channel_id, epoch],
        )
        if cursor.fetchone() is None:
            return
        cursor.execute(
            """WITH unsure AS (
                 SELECT p.on_unknown = 'hold' AS is_left_to_a_person FROM notifications_channel c
                 JOIN smtpprofiles_smtpprofile p ON p.id = c.profile_id WHERE c.id = %(channel)s
               ), crashed AS (
                 UPDATE notifications_delivery d SET crash_count = d.crash_count + 1,
                   attempt_count = d.attempt_count + 1,
                   last_error = 'The worker died while it may have been sending this.',
                   status = CASE WHEN h.cause <> '' THEN 'held' ELSE 'retrying' END, hold_cause = h.cause,
                   due_at = CASE WHEN h.cause = '' THEN now() END
                 FROM (SELECT i.id, CASE WHEN i.crash_count + 1 >= %(limit)s THEN 'crashed'
                                         WHEN (SELECT is_left_to_a_person FROM unsure) THEN 'unknown'
                                         ELSE '' END AS cause
                       FROM notifications_delivery i WHERE i.id = ANY(%(ids)s)) h
                 WHERE d.id = h.id AND d.status IN ('pending', 'retrying')
                 RETURNING d.id, d.attempt_count, d.status, d.lane_id
               ), logged AS (
                 INSERT INTO notifications_attempt (id, delivery_id, number, verdict, error_class, detail,
                   duration_ms, address, request_headers, response_headers, response_body, worker, epoch,
                   is_fenced, started_at)
                 SELECT gen_random_uuid(), id, attempt_count, 'crashed', 'crash',
                   'The worker ended before it could report; the receiver may have it.',
                   0, '', '', '', '', %(owner)s, %(epoch)s, false, now()
                 FROM (SELECT id, attempt_count FROM crashed
                       UNION ALL  -- given up by a person before anybody took over: it may have arrived all the same
                       SELECT id, attempt_count + 1 FROM notifications_delivery
                       WHERE id = ANY(%(ids)s) AND status NOT IN ('pending', 'retrying')) may_have_been_sent
               )
               UPDATE notifications_lane l SET blocked_by_id = c.id, due_at = NULL
               FROM crashed c JOIN notifications_delivery d ON d.id = c.id
               WHERE l.id = c.lane_id AND c.status = 'held' AND d.sequence = l.next_sequence""",
            {"limit": CRASHES, "channel": channel_id, "ids": ids, "owner": owner, "epoch": epoch},
        )
