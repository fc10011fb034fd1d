"""What happens here when others change: events are published, destinations are edited, tables are made."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_migrate, post_save
from django.dispatch import receiver

from events.signals import event_published
from smtpprofiles.models import SmtpProfile

from . import channels, schedules
from .models import Endpoint
from .nudge import nudge


@receiver(event_published)
def wake_workers(**_: Any) -> None:
    """Events were committed."""
    nudge()


@receiver(post_save, sender=Endpoint)
def follow_endpoint(instance: Endpoint, **_: Any) -> None:
    """Keep an endpoint's channels as it says."""
    channels.ensure(endpoint_ids=[instance.pk])
    channels.follow(instance)
    transaction.on_commit(nudge, robust=True)


@receiver(post_save, sender=SmtpProfile)
def follow_profile(instance: SmtpProfile, **_: Any) -> None:
    """Keep a profile's channels as it says."""
    channels.ensure(profile_ids=[instance.pk])
    channels.follow(instance)
    transaction.on_commit(nudge, robust=True)


@receiver(post_migrate)
def ensure_schedules(app_config: Any, **_: Any) -> None:
    """Create our schedules once all tables are there."""
    if app_config.name == "django_q":
        schedules.ensure()
