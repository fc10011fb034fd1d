"""What happens here when others change: events are published, destinations are edited, tables are made."""

from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.signals import post_delete, post_migrate, post_save
from django.dispatch import receiver
from django_q.tasks import async_task

from events.models import Queue
from events.signals import catalog_synced, event_published
from smtpprofiles.models import SmtpProfile

from . import channels, letters, schedules
from .models import Delivery, Endpoint, ProfileRule, Subscription
from .nudge import nudge

log = structlog.get_logger(__name__)


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
    _divert()


@receiver(post_save, sender=ProfileRule)
@receiver(post_delete, sender=ProfileRule)
def follow_rule(**_: Any) -> None:
    """Mail that waits and is not rendered leaves by the profile that is chosen now."""
    _divert()


@receiver(post_save, sender=Subscription)
def follow_choice(instance: Subscription, created: bool, **_: Any) -> None:
    """Its own profile may have changed."""
    if instance.email_template_id and not created:
        _divert()


def _divert() -> None:
    """In the background, if any mail waits at all."""
    if Delivery.objects.filter(status__in=Delivery.UNFINISHED, channel__profile__isnull=False).exists():
        async_task("notifications.tasks.divert")


@receiver(post_save, sender=Queue)
@receiver(post_save, sender=Subscription)
def go_on(instance: Queue | Subscription, **_: Any) -> None:
    """Let go on, in the background, what was held for a pause that is over."""
    if instance.is_paused:
        return
    ended = {"subscription__queue" if isinstance(instance, Queue) else "subscription": instance}
    if Delivery.objects.filter(hold_cause=Delivery.HoldCause.PAUSED, **ended).exists():
        # With the transaction; should it come too early for a worker that holds one more, the schedule follows.
        async_task("notifications.tasks.go_on")


@receiver(catalog_synced)
def install_letters(**_: Any) -> None:
    """Offer the mails that come with the product; a layout of that name that they do not fit stops nothing."""
    try:
        letters.install()
    except ValidationError as error:
        log.warning("the product's mails are not installed", error=" ".join(error.messages)[:500])


@receiver(post_migrate)
def ensure_schedules(app_config: Any, **_: Any) -> None:
    """Create our schedules once all tables are there."""
    if app_config.name == "django_q":
        schedules.ensure()
