"""Billing objects as last reported, and the triggers that watch them."""

from django.db import models
from django.db.models import Q

from .catalog import EventType


class BillingObject(models.Model):
    """The last known state of an account, service, invoice, …, as the billing system reported it."""

    kind = models.CharField(max_length=50, help_text="account, package, service, invoice, …")
    external_id = models.CharField(max_length=100, help_text="Its id in the billing system.")
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        help_text="What it belongs to: service → package → account.",
    )
    state = models.JSONField(default=dict)
    version = models.BigIntegerField(default=0, help_text="A report with a lower version is stale.")
    reported_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["kind", "external_id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "external_id"], name="billing_object_once"),
            models.CheckConstraint(
                condition=~Q(parent=models.F("id")), name="billing_object_not_its_own_parent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.external_id}"


class Trigger(models.Model):
    """An administrator's rule that turns object changes, time or absence into events."""

    class Source(models.TextChoices):
        CREATED = "created", "Object created"
        UPDATED = "updated", "Object updated"
        DELETED = "deleted", "Object deleted"
        THRESHOLD = "threshold", "Threshold crossed"
        SCHEDULE = "schedule", "Days after another event"
        INACTIVITY = "inactivity", "No activity"

    name = models.CharField(max_length=100, unique=True)
    source = models.CharField(max_length=10, choices=Source)
    object_kind = models.CharField(max_length=50, blank=True, help_text="The kind of object it watches.")
    anchor = models.ForeignKey(
        EventType,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="anchored_triggers",
        help_text="Schedules only: the event that starts the clock.",
    )
    offset_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Schedules only: x days later."
    )
    at_time = models.TimeField(null=True, blank=True, help_text="Schedules only: at this time of day.")
    event_type = models.ForeignKey(
        EventType, models.PROTECT, related_name="triggers", help_text="The event it publishes."
    )
    is_active = models.BooleanField("active", default=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(source="schedule", anchor__isnull=False, offset_days__isnull=False)
                | (~Q(source="schedule") & Q(anchor=None, offset_days=None, at_time=None)),
                name="trigger_schedule_has_anchor",
                violation_error_message="A schedule needs an anchor event and its days; other triggers have neither.",
            ),
            models.CheckConstraint(
                condition=Q(source="schedule") | ~Q(object_kind=""),
                name="trigger_watches_a_kind",
                violation_error_message="Say which kind of object the trigger watches.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TriggerCondition(models.Model):
    """One row of a trigger's rule: field, operator, value."""

    class Operator(models.TextChoices):
        IS = "is", "is"
        IS_NOT = "is_not", "is not"
        IN = "in", "is one of"
        GREATER = "gt", "is greater than"
        LESS = "lt", "is less than"
        CHANGED_FROM = "changed_from", "changed from"
        CHANGED_TO = "changed_to", "changed to"

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="conditions")
    field = models.CharField(max_length=100)
    operator = models.CharField(max_length=12, choices=Operator)
    value = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.field} {self.get_operator_display()} {self.value}"
