"""What follows when a person saves, activates or deactivates a trigger."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from events import changes
from events.models import ScheduledFiring, Trigger

from . import validate
from .rules import of

# Another value of these moves what waits in the calendar.
MOVING = ("offset_days", "at_time", "timezone")
# Another value of these makes everything in the calendar another thing.
REPLACING = ("source", "object_kind", "anchor_id", "date_path", "period_path")


def before_save(row: Trigger) -> None:
    """Take note of what an edit changes: the calendar is computed anew, and the rule is the person's own."""
    row.is_edited = row.is_edited or bool(row.pk and row.builtin)
    if not row.pk:
        return
    old = Trigger.objects.get(pk=row.pk)
    if any(getattr(old, name) != getattr(row, name) for name in MOVING):
        row.schedule_version = old.schedule_version + 1
    if any(getattr(old, name) != getattr(row, name) for name in REPLACING):
        row.prepared_at, row.prepared_through = None, 0
        waiting = ScheduledFiring.objects.filter(trigger=row, status=ScheduledFiring.Status.PENDING)
        waiting.update(
            status=ScheduledFiring.Status.CANCELLED, reason="The rule was changed.", settled_at=timezone.now()
        )


def after_save(row: Trigger) -> None:
    """Have the evaluator look, once the save commits; publishers learn of new anchors by the saved rows."""
    if row.is_active:
        changes.after_commit(1)


@transaction.atomic
def activate(row: Trigger) -> None:
    """Switch a rule on; raises ValidationError if it cannot work."""
    rule = of(row)
    faults = validate.check_row(row)
    if told := validate.check_thresholds(row, list(row.thresholds.all())):
        faults["thresholds"] = told
    for each in rule.conditions:
        faults |= {
            f"{each.field}: {name}": told for name, told in validate.check_condition(row, each).items()
        }
    if not row.event_type.is_active:
        faults["event_type"] = f"The event type {row.event_type.code} is switched off; activate it first."
    if faults:
        raise ValidationError(
            [f"{name.replace('_', ' ').capitalize()}: {told}" for name, told in faults.items()]
        )
    row.is_active, row.active_since = True, timezone.now()
    row.prepared_at, row.prepared_through = None, 0
    row.is_edited = row.is_edited or bool(row.builtin)
    row.save(update_fields=["is_active", "active_since", "prepared_at", "prepared_through", "is_edited"])
    changes.after_commit(1)


@transaction.atomic
def deactivate(row: Trigger) -> None:
    """Switch a rule off: what waits in the calendar waits until it is switched on again, or is withdrawn."""
    row.is_active = False
    row.is_edited = row.is_edited or bool(row.builtin)
    row.save(update_fields=["is_active", "is_edited"])
