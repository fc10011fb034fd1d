"""Pausing an endpoint or SMTP profile that is itself at fault: its deliveries wait, none is lost."""

import structlog
from django.db import transaction

from smtpprofiles.models import SmtpProfile

from . import channels
from .models import Endpoint

log = structlog.get_logger(__name__)


def pause(*, endpoint_id: int | None, profile_id: int | None, reason: str) -> None:
    """Pause it with a reason that people can act on; emptying the reason in the admin resumes it."""
    model: type[Endpoint] | type[SmtpProfile] = Endpoint if endpoint_id else SmtpProfile
    with transaction.atomic():
        destination = model.objects.select_for_update().get(pk=endpoint_id or profile_id or 0)
        if destination.paused_reason:
            return
        destination.paused_reason = reason
        destination.save(update_fields=["paused_reason"])
        channels.follow(destination)
    log.warning("paused", destination=str(destination), reason=reason)
