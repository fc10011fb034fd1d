"""The django-q2 schedules of the triggers, created with the tables."""

from typing import Any

from django_q.models import Schedule

SCHEDULES: list[dict[str, Any]] = [
    {
        "name": "bellwether: triggers",
        "func": "events.triggers.tasks.evaluate",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    {
        "name": "bellwether: triggers, what is used again",
        "func": "events.triggers.tasks.find_woken",
        "schedule_type": Schedule.MINUTES,
        "minutes": 5,
    },
    {
        "name": "bellwether: triggers, daily scan",
        "func": "events.triggers.tasks.scan",
        "schedule_type": Schedule.DAILY,
    },
    {
        "name": "bellwether: triggers, clean up",
        "func": "events.triggers.tasks.clean_up",
        "schedule_type": Schedule.DAILY,
    },
]


def ensure(**_: object) -> None:
    """Create the schedules that are missing, after a migration."""
    for schedule in SCHEDULES:
        Schedule.objects.get_or_create(name=schedule["name"], defaults={**schedule, "repeats": -1})
