"""Triggers: an administrator's rules, as rows."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .catalog import EventType
from .objects import FIELD_PATH


class Trigger(models.Model):
    """An administrator's rule that turns object changes, time or absence into events."""

    class Source(models.TextChoices):
        CHANGE = "change", "An object changes"
        THRESHOLD = "threshold", "A value crosses a threshold"
        DATE = "date", "A date of an object passes"
        COMMITMENT = "commitment", "A commitment period closes short"
        SCHEDULE = "schedule", "Days after another event"
        INACTIVITY = "inactivity", "Nothing happens for days"
        EVENT = "event", "Another event happens"

    class Once(models.TextChoices):
        CHANGE = "change", "Each time they become true"
        EVERY = "every", "At every report for which they are true"
        OBJECT = "object", "Once for each object, ever"
        PERIOD = "period", "Once for each object and period"

    class Activity(models.TextChoices):
        USAGE = "usage", "Usage"
        NETWORK = "network", "Network registration"

    # What looks at objects; the rest looks at events.
    OF_OBJECTS = (Source.CHANGE, Source.THRESHOLD, Source.DATE, Source.COMMITMENT, Source.INACTIVITY)
    OF_EVENTS = (Source.SCHEDULE, Source.EVENT)
    # What waits in the calendar until its time.
    OF_CALENDAR = (Source.SCHEDULE, Source.DATE, Source.COMMITMENT)

    name = models.CharField(max_length=100, unique=True, help_text="What people call the rule.")
    description = models.TextField(blank=True, help_text="What it is for.")
    source = models.CharField("starts when", max_length=10, choices=Source)
    object_kind = models.CharField(
        max_length=50, blank=True, help_text="The kind of object it watches, such as service."
    )
    on_create = models.BooleanField("created", default=False)
    on_update = models.BooleanField("updated", default=True)
    on_delete = models.BooleanField("deleted", default=False)
    match_all = models.BooleanField(
        "conditions",
        default=True,
        choices=[(True, "All of them are true"), (False, "Any of them is true")],
        help_text="How the conditions are joined.",
    )
    once = models.CharField(
        "fires",
        max_length=6,
        choices=Once,
        default=Once.CHANGE,
        help_text="How often, while its conditions hold.",
    )
    period_path = models.CharField(
        "period",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field that tells one period from the next, such as period_start.",
    )

    # Thresholds
    value_path = models.CharField(
        "value",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field that is compared, e.g. used.",
    )
    size_path = models.CharField(
        "in per cent of",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="A field such as size: thresholds are per cent of it. Empty: they are in the value's own unit.",
    )
    tiers_path = models.CharField(
        "tiers",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="A list of tiers in the object, each with its size (commitments: committed and actual).",
    )
    is_below = models.BooleanField(
        "direction", default=False, choices=[(False, "Rises to it"), (True, "Falls to it")]
    )
    highest_only = models.BooleanField(
        "highest only",
        default=False,
        help_text="A report that jumps over several thresholds fires only the last of them.",
    )

    # Schedules, dates and commitments
    anchor = models.ForeignKey(
        EventType,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="anchored_triggers",
        help_text="The event that starts it.",
    )
    date_path = models.CharField(
        "date",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field with the date from which days count, e.g. due_date. Of an event, empty: when it came.",
    )
    offset_days = models.PositiveIntegerField(
        "days (x)",
        null=True,
        blank=True,
        validators=[MaxValueValidator(3650)],
        help_text="So many days later.",
    )
    at_time = models.TimeField(
        "time (t)", null=True, blank=True, help_text="At this time of day, such as 09:00."
    )
    timezone = models.CharField(
        "time zone",
        max_length=60,
        blank=True,
        help_text="An IANA name such as America/Toronto. Empty: the account's own, else UTC.",
    )
    schedule_version = models.PositiveIntegerField(default=1, editable=False)

    # Inactivity
    activity = models.CharField(
        max_length=7, choices=Activity, default=Activity.USAGE, help_text="What is absent."
    )
    idle_days = models.PositiveIntegerField(
        "days without", null=True, blank=True, validators=[MaxValueValidator(3650)]
    )
    days_path = models.CharField(
        "days of the object",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="A field with an object's own number of days. The scan then reads more. Empty: none.",
    )
    plan_path = models.CharField(
        "plan",
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field by which the rows below give other numbers of days, e.g. plan.",
    )

    event_type = models.ForeignKey(
        EventType, models.PROTECT, related_name="triggers", help_text="The event it publishes."
    )
    recovery_type = models.ForeignKey(
        EventType,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="recovery_triggers",
        verbose_name="recovery event",
        help_text="Published once what the rule told of is over. Empty: nothing is.",
    )
    position = models.PositiveSmallIntegerField(
        default=100, help_text="Rules that look at the same change fire in this order."
    )
    is_active = models.BooleanField("active", default=False)
    active_since = models.DateTimeField(null=True, blank=True, editable=False)
    prepared_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When what was there at its activation had been looked at.",
    )
    prepared_through = models.BigIntegerField(default=0, editable=False)
    builtin = models.CharField("built in", max_length=60, blank=True, editable=False)
    is_edited = models.BooleanField(
        default=False, editable=False, help_text="A person changed it: a later version leaves it as it is."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(source__in=["schedule", "event"], anchor__isnull=False, object_kind="")
                | (~Q(source__in=["schedule", "event"]) & Q(anchor=None) & ~Q(object_kind="")),
                name="trigger_watches_one_thing",
                violation_error_message="Give the event that starts it, or the kind of object it watches, not both.",
            ),
            models.CheckConstraint(
                condition=~Q(source__in=["schedule", "date", "commitment"])
                | Q(offset_days__isnull=False, at_time__isnull=False),
                name="trigger_calendar_has_days_and_time",
                violation_error_message="Give the days (x) and the time (t).",
            ),
            models.CheckConstraint(
                condition=~Q(source="inactivity") | Q(idle_days__gt=0),
                name="trigger_inactivity_has_days",
                violation_error_message="Give the days without activity, at least 1.",
            ),
            models.UniqueConstraint(
                fields=["builtin"], condition=~Q(builtin=""), name="trigger_builtin_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name
