"""Subscriptions: which events of a queue become which notification, and for whom."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from events.models import EventType, Operation, Queue, Subscriber
from smtpprofiles.models import SmtpProfile

from .endpoint import Endpoint
from .mail import EmailTemplate

LIMIT_FAULT = "Write a whole number from 1 on, or leave it empty: no storm control."
LONGEST_PERIOD = 7 * 24 * 60  # minutes
PERIOD_FAULT = f"Write a whole number of minutes from 1 to {LONGEST_PERIOD:,} (a week)."
STORM_FAULTS = {"storm_limit": LIMIT_FAULT, "storm_minutes": PERIOD_FAULT}


class Subscription(models.Model):
    """Subscriber x queue x event types x operations x filter → one notification: a webhook or an email."""

    class OnFailure(models.TextChoices):
        HOLD = "hold", "Hold the lane until a person decides"
        SKIP = "skip", "Skip it and go on"

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="subscriptions")
    name = models.CharField(max_length=100)
    queue = models.ForeignKey(Queue, models.PROTECT, related_name="subscriptions")
    event_types = models.ManyToManyField(
        EventType,
        blank=True,
        related_name="subscriptions",
        help_text="Which events of the queue. None chosen: all of them.",
    )
    on_create = models.BooleanField("create", default=True, help_text="Events that create their resource.")
    on_update = models.BooleanField("update", default=True, help_text="Events that update it.")
    on_delete = models.BooleanField("delete", default=True, help_text="Events that end or delete it.")
    endpoint = models.ForeignKey(
        Endpoint,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="subscriptions",
        help_text="Webhook: call this.",
    )
    email_template = models.ForeignKey(
        EmailTemplate,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="subscriptions",
        help_text="Email: send this, to the recipients below.",
    )
    profile = models.ForeignKey(
        SmtpProfile,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="subscriptions",
        verbose_name="SMTP profile",
        help_text="Email: leave by this profile. Empty: the rule of the event type, else the default profile.",
    )
    allows_opt_out = models.BooleanField(
        "recipients may opt out",
        default=False,
        help_text="Email: adds a link to unsubscribe, and the headers by which mail programs show a button. "
        "Leave it off where people must be told.",
    )
    payload_template = models.TextField(
        blank=True,
        help_text="Webhook: empty, the body is the standard one. Else the whole JSON body, in Liquid.",
    )
    on_failure = models.CharField(
        "when an in-order delivery fails for good", max_length=4, choices=OnFailure, default=OnFailure.HOLD
    )
    retry_seconds = ArrayField(
        models.PositiveIntegerField(),
        size=30,
        blank=True,
        default=list,
        verbose_name="retry schedule",
        help_text="Seconds to wait before each further attempt, comma-separated, e.g. 5, 300, 1800. "
        "Empty: the standard schedule, ten attempts over three days.",
    )
    storm_limit = models.PositiveIntegerField(
        "at most",
        null=True,
        blank=True,
        validators=[MinValueValidator(1, LIMIT_FAULT)],
        help_text="How many deliveries go out one by one in each period, to each recipient. What comes beyond is "
        "collected, and goes out as one digest when the period ends. Empty: no storm control.",
    )
    storm_minutes = models.PositiveIntegerField(
        "per period of minutes",
        default=60,
        db_default=60,
        validators=[MinValueValidator(1, PERIOD_FAULT), MaxValueValidator(LONGEST_PERIOD, PERIOD_FAULT)],
        help_text="How long a period is: 1 to 10,080 minutes (a week). It begins with the first delivery. "
        "Of no effect without a number above.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="While inactive, events are not for it."
    )
    is_paused = models.BooleanField(
        "paused", default=False, help_text="While paused, its deliveries are made and wait; none is lost."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["subscriber", "name"]
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "name"], name="subscription_name_once"),
            models.CheckConstraint(
                condition=Q(endpoint__isnull=False, email_template=None)
                | Q(endpoint=None, email_template__isnull=False),
                name="subscription_one_notification",
                violation_error_message="Choose either an endpoint or an email template, not both and not neither.",
            ),
            models.CheckConstraint(
                condition=Q(profile=None) | Q(email_template__isnull=False),
                name="subscription_profile_for_email",
                violation_error_message="An SMTP profile goes with an email template only.",
            ),
            models.CheckConstraint(
                condition=Q(payload_template="") | Q(endpoint__isnull=False),
                name="subscription_payload_for_webhook",
                violation_error_message="A payload template goes with an endpoint only.",
            ),
            models.CheckConstraint(
                condition=Q(on_create=True) | Q(on_update=True) | Q(on_delete=True),
                name="subscription_some_operation",
                violation_error_message="Choose at least one of create, update and delete.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A webhook goes to an endpoint of the same subscriber."""
        if self.endpoint and self.endpoint.subscriber_id != self.subscriber_id:
            raise ValidationError(
                {
                    "endpoint": f"This endpoint belongs to {self.endpoint.subscriber}; choose one of the subscriber's."
                }
            )

    @property
    def operations(self) -> set[str]:
        """The operations it wants, as in `Operation`."""
        return {operation for operation in Operation.values if getattr(self, f"on_{operation}")}


class Filter(models.Model):
    """One condition on the payload; a subscription gets an event when all of its filters hold."""

    class Operator(models.TextChoices):
        IS = "is", "is"
        IS_NOT = "is_not", "is not"
        IN = "in", "is one of (comma-separated)"
        GREATER = "gt", "is greater than"
        LESS = "lt", "is less than"

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="filters")
    token = models.CharField(max_length=100, help_text="A token of the event, e.g. invoice.currency.")
    operator = models.CharField(max_length=6, choices=Operator, default=Operator.IS)
    value = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.token} {self.get_operator_display()} {self.value}"


class Recipient(models.Model):
    """Who gets the email: a system user, a group of them, an address, or the address in a token."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="recipients")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True)
    address = models.EmailField(blank=True)
    token = models.CharField(
        max_length=100, blank=True, help_text="A token that holds an address: contact.email."
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group=None, address="", token="")
                | Q(user=None, group__isnull=False, address="", token="")
                | (Q(user=None, group=None, token="") & ~Q(address=""))
                | (Q(user=None, group=None, address="") & ~Q(token="")),
                name="recipient_exactly_one",
                violation_error_message="Fill in exactly one of user, group, address and token.",
            )
        ]

    def __str__(self) -> str:
        return str(self.user or self.group or self.address or f"{{{{ {self.token} }}}}")
