"""The django-q2 schedules that the engine needs, created with the tables."""

from typing import Any

from django_q.models import Schedule

# The safety nets behind lost wake-ups and pauses that are over, the month partitions, what rotations leave.
SCHEDULES: list[dict[str, Any]] = [
    {
        "name": "bellwether: deliver",
        "func": "notifications.tasks.drain",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
        "cluster": "delivery",
    },
    {
        "name": "bellwether: go on",
        "func": "notifications.tasks.go_on",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    {
        "name": "bellwether: replays",
        "func": "notifications.tasks.carry_on_replays",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    {
        "name": "bellwether: divert",
        "func": "notifications.tasks.divert",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    {
        "name": "bellwether: partitions",
        "func": "notifications.tasks.make_partitions",
        "schedule_type": Schedule.DAILY,
    },
    {
        "name": "bellwether: objects",
        "func": "events.prune.prune",
        "schedule_type": Schedule.DAILY,
    },
    {
        "name": "bellwether: former secrets",
        "func": "notifications.tasks.sweep_secrets",
        "schedule_type": Schedule.DAILY,
    },
]


def ensure(**_: object) -> None:
    """Create the schedules that are missing, after a migration."""
    for schedule in SCHEDULES:
        Schedule.objects.get_or_create(name=schedule["name"], defaults={**schedule, "repeats": -1})
