"""Ask for an evaluation: at most one waits in the task queue, however many reports come."""

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django_q.tasks import async_task

log = structlog.get_logger(__name__)

# Whoever asks while another's call waits is served by it. A call older than this was lost with its worker.
_CALL = """
INSERT INTO events_evaluatorcall AS known (id, wanted_at) VALUES (1, now())
ON CONFLICT (id) DO UPDATE SET wanted_at = now()
WHERE known.wanted_at IS NULL OR known.wanted_at < now() - interval '60 s'
RETURNING id
"""
_IS_WANTED = "SELECT EXISTS (SELECT FROM events_evaluatorcall WHERE wanted_at > now() - interval '60 s')"
TASK = "events.triggers.tasks.evaluate"


def call() -> None:
    """Queue an evaluation unless one waits already. Losing the call costs time: the schedule follows."""
    try:
        with connection.cursor() as cursor:
            # A look first: the row is not to be locked by every report.
            cursor.execute(_IS_WANTED)
            [is_wanted] = cursor.fetchone()
            if is_wanted:
                return
            cursor.execute(_CALL)
            if cursor.fetchone() is None:
                return
        async_task(TASK)
    except (DatabaseError, InterfaceError) as error:
        log.warning("evaluation not called; the schedule will find the work", error=str(error))


def answer() -> None:
    """Note that the evaluation begins: what is reported from now on calls the next one."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_evaluatorcall SET wanted_at = NULL WHERE wanted_at IS NOT NULL")
