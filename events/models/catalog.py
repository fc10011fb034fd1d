"""The catalog: which kinds of events there are, and which tokens each offers."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

EVENT_TYPE_CODE = RegexValidator(
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$",
    "Write a dotted, lower-case code whose last word is in the past tense, such as invoice.posted.",
)
TOKEN_NAME = RegexValidator(
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$",
    "Write the token as group.name in lower case, such as invoice.total.",
)


class Operation(models.TextChoices):
    """What an event did to its resource; a subscription chooses which of them it wants."""

    CREATE = "create", "Create"
    UPDATE = "update", "Update"
    DELETE = "delete", "Delete"


class EventType(models.Model):
    """One kind of fact that a billing system reports."""

    code = models.CharField(max_length=100, unique=True, validators=[EVENT_TYPE_CODE])
    label = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    resource = models.CharField(max_length=50, help_text="What the event is about, e.g. invoice.")
    operation = models.CharField(max_length=6, choices=Operation)
    category = models.CharField(max_length=50, help_text="Groups the catalog, e.g. payments.")
    ordering_prefix = models.CharField(
        max_length=50, blank=True, help_text="Left part of the ordering key, e.g. account in account:1001."
    )
    ordering_path = models.CharField(
        max_length=100,
        blank=True,
        help_text="Where the payload holds the right part of the ordering key, e.g. account.id.",
    )
    sample = models.JSONField(default=dict, help_text="A realistic payload, for previews and tests.")
    schema = models.JSONField(default=dict, blank=True, help_text="JSON Schema (2020-12) of the payload.")
    is_builtin = models.BooleanField("built in", default=False, editable=False)
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive event type cannot be published."
    )
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Keep its events for this many days. Empty: the system's default."
    )

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(operation__in=Operation.values), name="event_type_operation"),
            models.CheckConstraint(
                condition=Q(ordering_prefix="", ordering_path="")
                | (~Q(ordering_prefix="") & ~Q(ordering_path="")),
                name="event_type_ordering_key_whole",
                violation_error_message="Give both parts of the ordering key, or neither.",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Token(models.Model):
    """A named, typed, documented value that an event type offers to notifications."""

    class Kind(models.TextChoices):
        STRING = "string", "Text"
        INTEGER = "integer", "Whole number"
        DECIMAL = "decimal", "Decimal"
        BOOLEAN = "boolean", "Yes or no"
        DATE = "date", "Date"
        TIME = "time", "Time"
        DATETIME = "datetime", "Date and time"
        LIST = "list", "List"
        OBJECT = "object", "Object"

    event_type = models.ForeignKey(EventType, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100, validators=[TOKEN_NAME])
    group = models.CharField(max_length=50)
    kind = models.CharField(max_length=8, choices=Kind)
    description = models.TextField(blank=True)
    sample = models.TextField(blank=True)
    email_only = models.BooleanField(default=False, help_text="Never offered to webhooks.")

    class Meta:
        ordering = ["event_type", "group", "name"]
        constraints = [
            models.UniqueConstraint(fields=["event_type", "name"], name="token_once_per_event_type"),
            models.CheckConstraint(
                condition=~Q(group="contact") | Q(email_only=True),
                name="token_contact_email_only",
                violation_error_message="Contact tokens exist for email only.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
