"""The rows that belong to a trigger: its conditions, thresholds, plans, cancellations and payload fields."""

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models

from .catalog import EventType
from .objects import FIELD_PATH
from .triggers import Trigger


class TriggerCondition(models.Model):
    """One row of a trigger's rule: field, operator, value."""

    class Operator(models.TextChoices):
        IS = "is", "is"
        IS_NOT = "is_not", "is not"
        IN = "in", "is one of (a, b, c)"
        NOT_IN = "not_in", "is none of (a, b, c)"
        GREATER = "gt", "is over"
        AT_LEAST = "ge", "is at least"
        LESS = "lt", "is under"
        AT_MOST = "le", "is at most"
        BETWEEN = "between", "is between"
        EMPTY = "empty", "is empty"
        NOT_EMPTY = "not_empty", "is not empty"
        CHANGED = "changed", "changed"
        CHANGED_FROM_TO = "from_to", "changed from … to …"
        CHANGED_TO = "changed_to", "changed to"
        CHANGED_FROM = "changed_from", "changed from"

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="conditions")
    field = models.CharField(
        max_length=100,
        validators=[FIELD_PATH],
        help_text="Of the object (state) or of what it belongs to (account.currency).",
    )
    operator = models.CharField(max_length=12, choices=Operator, default=Operator.IS)
    value = models.CharField(max_length=500, blank=True)
    value_to = models.CharField("and / to", max_length=200, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.field} {self.get_operator_display()} {self.value}".strip()


class TriggerThreshold(models.Model):
    """One threshold of a trigger: per cent of the size, or a value."""

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="thresholds")
    threshold = models.DecimalField(max_digits=20, decimal_places=4)

    class Meta:
        ordering = ["threshold"]
        constraints = [
            models.UniqueConstraint(fields=["trigger", "threshold"], name="trigger_threshold_once")
        ]

    def __str__(self) -> str:
        return f"{self.threshold.normalize():f}"


class TriggerPlan(models.Model):
    """Another number of days for the objects of one plan."""

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="plans")
    plan = models.CharField(max_length=200, help_text="The value of the plan field.")
    idle_days = models.PositiveIntegerField("days without", validators=[MaxValueValidator(3650)])

    class Meta:
        ordering = ["plan"]
        constraints = [models.UniqueConstraint(fields=["trigger", "plan"], name="trigger_plan_once")]

    def __str__(self) -> str:
        return f"{self.plan}: {self.idle_days}"


class TriggerCancellation(models.Model):
    """An event that withdraws what waits in the calendar for the same account, or for the same thing."""

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="cancellations")
    event_type = models.ForeignKey(EventType, models.PROTECT, related_name="cancels")
    own_path = models.CharField(
        "same",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="Field of the event that started it, e.g. invoice.number. Empty: all of the account.",
    )
    other_path = models.CharField(
        "as",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="Field of the cancelling event with the same value or a list of them, e.g. payment.invoice_numbers.",
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["trigger", "event_type"], name="trigger_cancellation_once")
        ]

    def __str__(self) -> str:
        return str(self.event_type)


class TriggerField(models.Model):
    """One field of the payload, where the trigger fills it otherwise than by itself."""

    class Source(models.TextChoices):
        OBJECT = "object", "Field of the object or its parents"
        PREVIOUS = "previous", "Field before the change"
        COMPUTED = "computed", "Computed by the rule"
        STATIC = "static", "Fixed text"

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="fields")
    path = models.CharField(
        "payload field",
        max_length=100,
        validators=[
            RegexValidator(
                r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", "Write it as group.name, e.g. invoice.total."
            )
        ],
    )
    source = models.CharField("filled with", max_length=8, choices=Source, default=Source.OBJECT)
    value = models.CharField(
        max_length=500, blank=True, help_text="The field, the name of what is computed, or the text."
    )

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["trigger", "path"], name="trigger_field_once")]

    def __str__(self) -> str:
        return self.path
