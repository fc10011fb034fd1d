"""What waits for an endpoint or SMTP profile, and letting it go at a rate of its own."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from smtpprofiles.models import SmtpProfile

from .models import Circuit, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What would be sent, were the destination open: all of it, and how much of it is in lanes."""

    deliveries: int
    in_lanes: int
    lanes: int
    oldest: datetime | None

    def minutes(self, per_minute: int) -> int:
        """Return how long it takes at a rate, in minutes, rounded up."""
        return -(-self.deliveries // per_minute)


def preview(destination: Endpoint | SmtpProfile) -> Backlog:
    """Count what waits; what stands behind a held head waits for a person, and is not counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH ours AS (SELECT id FROM notifications_channel WHERE circuit_id = %s),
               loose AS (
                 SELECT count(*) AS n, min(created_at) AS oldest FROM notifications_delivery
                 WHERE channel_id IN (SELECT id FROM ours) AND lane_id IS NULL AND status IN ('pending', 'retrying')),
               lanes AS (
                 SELECT coalesce(sum(w.n), 0)::bigint AS n, count(*) AS lanes, min(w.oldest) AS oldest
                 FROM notifications_lane l CROSS JOIN LATERAL (
                   -- Not by their numbers: some may have been cancelled or skipped.
                   SELECT count(*) AS n, min(d.created_at) AS oldest FROM notifications_delivery d
                   WHERE d.lane_id = l.id AND d.sequence >= l.next_sequence
                     AND d.status IN ('pending', 'retrying')) w
                 WHERE l.channel_id IN (SELECT id FROM ours) AND l.due_at IS NOT NULL AND w.n > 0)
               SELECT loose.n + lanes.n, lanes.n, lanes.lanes, LEAST(loose.oldest, lanes.oldest) FROM loose, lanes""",
            [destination.circuit.pk],
        )
        deliveries, in_lanes, lanes, oldest = cursor.fetchone()
    return Backlog(deliveries=deliveries, in_lanes=in_lanes, lanes=lanes, oldest=oldest)


def resume(destination: Endpoint | SmtpProfile, *, per_minute: int | None = None) -> Backlog:
    """Open a paused destination; what waits goes first and in order, at `per_minute` if that is given.

    Until so many deliveries as wait now were sent, new ones keep to that rate as well: they come after.
    """
    found = preview(destination)
    destination.is_active, destination.paused_reason = True, ""
    # Together: no worker finds it open without its rate. The circuit last, as everybody locks it after the rest.
    with transaction.atomic():
        destination.save(update_fields=["is_active", "paused_reason", "updated_at"])
        let_go(destination, deliveries=found.deliveries, per_minute=per_minute)
    return found


def let_go(
    destination: Endpoint | SmtpProfile, *, deliveries: int = 0, per_minute: int | None = None
) -> None:
    """Set the rate of what waits: so many deliveries at `per_minute`; without one, at none of its own."""
    Circuit.objects.filter(pk=destination.circuit.pk).update(
        backlog_left=deliveries if per_minute else 0, backlog_per_minute=per_minute
    )
