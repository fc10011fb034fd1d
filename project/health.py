"""Liveness and readiness, for whatever restarts and routes to this process."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

# Both read one end of a partial index.
_OLDEST_DUE = """
SELECT coalesce(extract(epoch FROM statement_timestamp() - least(
    (SELECT event.created_at
     FROM events_inboxentry AS entry JOIN events_event AS event ON event.id = entry.event_id
     WHERE entry.due_at IS NULL ORDER BY entry.event_id LIMIT 1),
    (SELECT min(due_at) FROM events_inboxentry WHERE due_at <= statement_timestamp()),
    (SELECT min(due_at) FROM notifications_channel
     WHERE NOT is_paused AND due_at <= statement_timestamp()
       AND (not_before IS NULL OR not_before <= statement_timestamp()))
)), 0)
"""


def oldest_due_seconds() -> float:
    """Return for how many seconds the oldest work has been due; 0 if none is."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_DUE)
        return max(0.0, float(cursor.fetchone()[0]))


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 with the age of the oldest work that is due, in seconds; 503 without the database."""
    try:
        age = oldest_due_seconds()
    except DatabaseError:
        # The cause may hold host names; it is in the log of whoever uses the database next.
        return JsonResponse({"status": "unavailable", "database": False}, status=503)
    return JsonResponse({"status": "ready", "database": True, "oldest_due_seconds": round(age, 3)})
