"""What happens here when changes are written and tables are made."""

from typing import Any

from django.db.models.signals import post_migrate
from django.dispatch import receiver

from . import changes, schedules
from .triggers.call import call


@receiver(changes.wake)
def call_evaluator(**_: Any) -> None:
    """Changes were committed, or events that rules wait for."""
    call()


@receiver(post_migrate)
def ensure_schedules(app_config: Any, **_: Any) -> None:
    """Create the schedules of the triggers once all tables are there."""
    if app_config.name == "django_q":
        schedules.ensure()
