"""Billing objects as last reported, and the triggers that watch them."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events.exact import ExactJSONField

from .catalog import EventType

KIND_CODE = RegexValidator(
    r"^[a-z][a-z0-9_]*$", "Write lower-case letters, digits and underscores, such as bill_run."
)
FIELD_PATH = RegexValidator(
    r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
    "Write a field of the report, with dots into objects, such as account.id.",
)


class ObjectKind(models.Model):
    """One kind of billing object, and where its reports say what; built-in ones are synced from code."""

    code = models.CharField(
        max_length=50, unique=True, validators=[KIND_CODE], help_text="As reports name it, e.g. service."
    )
    label = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        help_text="The one object it belongs to: service → package → account. Empty: none.",
    )
    parent_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="Where its reports hold the parent's id. Empty: below the parent's code, such as account.id.",
    )
    name_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field people know it by, e.g. name.",
    )
    status_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field with its status, e.g. state.",
    )
    is_builtin = models.BooleanField("built in", default=False, editable=False)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(parent=models.F("id")),
                name="object_kind_not_its_own_parent",
                violation_error_message="A kind cannot be its own parent.",
            ),
            models.CheckConstraint(
                condition=Q(parent__isnull=False) | Q(parent_path=""),
                name="object_kind_parent_path_has_parent",
                violation_error_message="Without a parent there is no parent's id to be found; clear it.",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse a circle of parents."""
        seen, above = [self.code], self.parent
        while above is not None:
            if above.code in seen:
                circle = " → ".join([*seen, above.code])
                raise ValidationError({"parent": f"That would be a circle: {circle}. Choose another parent."})
            seen.append(above.code)
            above = above.parent


class BillingObject(models.Model):
    """The last known state of an account, service, invoice, …, as the billing system reported it."""

    kind = models.CharField(max_length=50, help_text="Code of its kind: account, package, service, …")
    external_id = models.CharField("id", max_length=100, help_text="Its id in the billing system.")
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        help_text="What it belongs to: service → package → account.",
    )
    state = ExactJSONField(default=dict)
    version = models.BigIntegerField(null=True, help_text="A report with a lower version is stale.")
    created_at = models.DateTimeField(db_default=Now(), help_text="When it was first heard of.")
    reported_at = models.DateTimeField(
        null=True, help_text="Empty: so far only named as the parent of another."
    )
    deleted_at = models.DateTimeField(null=True)
    is_deleted = models.GeneratedField(
        expression=models.ExpressionWrapper(Q(deleted_at__isnull=False), models.BooleanField()),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["kind", "external_id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "external_id"], name="billing_object_once"),
            models.CheckConstraint(
                condition=~Q(parent=models.F("id")), name="billing_object_not_its_own_parent"
            ),
        ]
        indexes = [
            # Retention looks for those deleted long ago (events/prune.py).
            models.Index(
                fields=["deleted_at"], name="billing_object_deleted", condition=Q(deleted_at__isnull=False)
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
