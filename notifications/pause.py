"""Stopping a destination that is itself at fault, or asks for a rest: what waits is kept."""

from collections.abc import Iterable, Mapping

import structlog
from django.db import connection, transaction

from smtpprofiles.models import SmtpProfile

from .claim import Lease
from .models import Endpoint
from .settle import Result

log = structlog.get_logger(__name__)


def stop_at_fault(results: Iterable[Result], leases: Mapping[int, Lease]) -> None:
    """Pause what is itself at fault and rest what asked for it; call it before the results are settled."""
    for result in results:
        lease = leases.get(result.claimed.channel_id)
        if lease is None or lease.epoch != result.claimed.epoch:
            continue
        if result.decision.pause_reason:
            pause(lease, result.decision.pause_reason)
        if result.decision.channel_wait:
            rest(lease, result.decision.channel_wait.total_seconds(), "asked")


def pause(lease: Lease, reason: str) -> None:
    """Pause the endpoint or profile of a lease, with a reason that people can act on.

    Emptying the reason in the admin resumes it. A lease that ran out pauses nothing.
    """
    model: type[Endpoint] | type[SmtpProfile] = Endpoint if lease.endpoint_id else SmtpProfile
    with transaction.atomic():
        # Its row before its channels, as whoever edits it locks them.
        model.objects.select_for_update(no_key=True).only("pk").get(
            pk=lease.endpoint_id or lease.profile_id or 0
        )
        if not _holds(lease):
            return
        found = model.objects.filter(pk=lease.endpoint_id or lease.profile_id or 0, paused_reason="")
        # Saved through the model, so that its channels follow (receivers.py), and without its secret, which
        # may be what cannot be read.
        for destination in found.only("pk", "is_active", "paused_reason"):
            destination.paused_reason = reason
            destination.save(update_fields=["paused_reason", "updated_at"])
            log.warning("paused", destination=type(destination).__name__, pk=destination.pk, reason=reason)


def rest(lease: Lease, seconds: float, cause: str) -> None:
    """Let every channel of the lease's endpoint or profile wait; `cause` is a Channel.RestCause."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not _holds(lease):
            return
        cursor.execute(
            """UPDATE notifications_channel c SET not_before = GREATEST(c.not_before, t.until),
                 rest_cause = CASE WHEN c.not_before > t.until THEN c.rest_cause ELSE %s END,
                 due_at = CASE WHEN c.leased_until IS NULL AND c.due_at IS NOT NULL
                               THEN GREATEST(c.due_at, t.until) ELSE c.due_at END
               FROM (SELECT now() + make_interval(secs => %s) AS until) t
               WHERE c.circuit_id = %s""",
            [cause, seconds, lease.circuit_id],
        )


def _holds(lease: Lease) -> bool:
    """Lock the destination's channels, and tell whether the lease still runs."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT id, epoch, leased_until > clock_timestamp() FROM notifications_channel
               WHERE circuit_id = %s ORDER BY id FOR UPDATE""",
            [lease.circuit_id],
        )
        return (lease.channel_id, lease.epoch, True) in cursor.fetchall()
