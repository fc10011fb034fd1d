"""Taking back opt-outs, where the recipients have asked for it, with a record of who, when and why."""

from django.db import transaction
from django.db.models import QuerySet

from . import audit
from .models import OptOut


@transaction.atomic
def subscribe_again(opt_outs: QuerySet[OptOut], actor: audit.Actor, reason: str = "") -> int:
    """Send these recipients the mails of their subscriptions again; return how many they were."""
    rows = list(opt_outs.select_related("subscription").order_by("pk"))
    audit.record(actor, "optout.withdraw", [str(row) for row in rows], reason)
    OptOut.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)
