"""What became of mails after they left, and who is not to be mailed."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from notifications import svix_signature
from smtpprofiles.encryption import EncryptedTextField
from smtpprofiles.models import SmtpProfile

from .delivery import Delivery
from .subscription import Subscription


class FeedbackAddress(models.Model):
    """Where the provider behind a profile reports what became of its mails: a URL with a secret."""

    class Provider(models.TextChoices):
        SMTP = "smtp", "Bounce mails"
        AMAZON_SES = "amazon_ses", "Amazon SES (bounce mails)"
        BREVO = "brevo", "Brevo"
        MAILERSEND = "mailersend", "MailerSend"
        MAILGUN = "mailgun", "Mailgun"
        MAILJET = "mailjet", "Mailjet"
        MAILTRAP = "mailtrap", "Mailtrap"
        POSTMARK = "postmark", "Postmark"
        RESEND = "resend", "Resend"
        SENDGRID = "sendgrid", "SendGrid"
        SPARKPOST = "sparkpost", "SparkPost"

    # These sign what they report.
    SIGNING = frozenset({Provider.MAILERSEND, Provider.MAILGUN, Provider.RESEND})

    profile = models.OneToOneField(
        SmtpProfile, models.CASCADE, related_name="feedback_address", verbose_name="SMTP profile"
    )
    provider = models.CharField(
        max_length=20,
        choices=Provider,
        blank=True,
        help_text="Whose reports they are. Leave it empty: a provider's profile says it, and for an SMTP server "
        "bounce mails are taken. Only for the SMTP server of a provider, choose that provider.",
    )
    # The token itself is shown once; who reads this table cannot report anything.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    signing_key = EncryptedTextField(blank=True, default="")
    keeps_opens = models.BooleanField(
        "keep opens and clicks",
        default=False,
        help_text="Whether it is kept that a person opened a mail or followed a link. Ask whether you may.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["profile"]
        verbose_name_plural = "feedback addresses"

    def __str__(self) -> str:
        return f"{self.get_provider_display()} for {self.profile}"

    @property
    def reporter(self) -> Provider:
        """Whose reports are read: its profile may have become another one's."""
        kind = self.profile.kind
        is_providers = kind in self.Provider.values and kind != self.Provider.SMTP
        return self.Provider(kind if is_providers else self.provider)

    def clean(self) -> None:
        """The provider is that of the profile, where it has one."""
        kind = self.profile.kind if self.profile_id else ""
        if kind in self.Provider.values and kind != self.Provider.SMTP:
            if self.provider not in ("", kind):
                label = self.Provider(kind).label
                raise ValidationError({"provider": f"The profile is one of {label}: leave this empty."})
            self.provider = kind
        elif not self.provider:
            self.provider = self.Provider.SMTP
        if self.provider in self.SIGNING:
            self._check_key(self.Provider(self.provider))

    def _check_key(self, provider: Provider) -> None:
        if not self.signing_key:
            why = f"{provider.label} signs what it reports: enter its webhook signing key."
            raise ValidationError({"signing_key": why})
        try:
            if provider == self.Provider.RESEND:
                svix_signature.key_of(self.signing_key)
        except ValueError as error:
            raise ValidationError({"signing_key": str(error)}) from error


class DeliveryFeedback(models.Model):
    """One report of a provider about one mail. Append-only."""

    class Kind(models.TextChoices):
        DELIVERED = "delivered", "Delivered"
        DEFERRED = "deferred", "Deferred"
        BOUNCED = "bounced", "Bounced"
        REJECTED = "rejected", "Rejected"
        FAILED = "failed", "Failed"
        COMPLAINED = "complained", "Complained"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
        OPENED = "opened", "Opened"
        CLICKED = "clicked", "Clicked"

    # No constraint in the database: what is reported outlives what it is about, and comes whenever it wants.
    delivery = models.ForeignKey(
        Delivery, models.DO_NOTHING, null=True, related_name="feedback", db_constraint=False, db_index=False
    )
    profile = models.ForeignKey(SmtpProfile, models.SET_NULL, null=True, related_name="+")
    provider = models.CharField(max_length=20, choices=FeedbackAddress.Provider)
    kind = models.CharField(max_length=12, choices=Kind)
    is_permanent = models.BooleanField(
        "permanent", default=False, help_text="The address itself is at fault."
    )
    recipient = models.CharField(max_length=320)
    detail = models.TextField(blank=True, help_text="The words of the provider or of the receiving server.")
    message_id = models.CharField(max_length=255, blank=True, help_text="The provider's name for the mail.")
    event_id = models.CharField(
        max_length=255, help_text="The provider's name for the report, or our digest of it."
    )
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "delivery feedback"
        ordering = ["-id"]
        constraints = [
            # A provider that reports again, as they do after a time-out, changes nothing.
            models.UniqueConstraint(fields=["profile", "event_id"], name="feedback_once"),
        ]
        indexes = [
            # The story of a delivery, and the search for an address.
            models.Index(
                fields=["delivery"], name="feedback_by_delivery", condition=Q(delivery__isnull=False)
            ),
            models.Index(fields=["recipient", "-id"], name="feedback_by_recipient"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.recipient}"


class Suppression(models.Model):
    """An address that gets no mail until a person releases it."""

    class Reason(models.TextChoices):
        BOUNCED = "bounced", "It bounced: the address does not take mail"
        COMPLAINED = "complained", "Its owner complained of spam"
        MANUAL = "manual", "Added by a person"

    address = models.EmailField(help_text="In small letters, as it is compared.")
    reason = models.CharField(max_length=10, choices=Reason, default=Reason.MANUAL)
    detail = models.TextField(blank=True, help_text="What was said, for whoever asks why.")
    said_by = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Which server, provider or bounce mail said so.",
    )
    created_by = models.CharField("by whom", max_length=150, blank=True, default="", db_default="")
    delivery = models.ForeignKey(
        Delivery, models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False
    )
    created_at = models.DateTimeField(db_default=Now())
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Fan-out looks an address up through this one.
            models.UniqueConstraint(
                fields=["address"],
                condition=Q(released_at=None),
                name="suppression_once",
                violation_error_message="This address is suppressed already.",
            ),
            models.CheckConstraint(
                condition=Q(address=models.functions.Lower("address")), name="suppression_in_small_letters"
            ),
        ]
        indexes = [models.Index(fields=["address", "-id"], name="suppression_by_address")]

    def __str__(self) -> str:
        return self.address

    def clean(self) -> None:
        """Compared in small letters."""
        self.address = self.address.strip().lower()


class OptOut(models.Model):
    """A recipient who does not want the mails of one subscription."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="opt_outs")
    address = models.EmailField(help_text="In small letters, as it is compared.")
    is_one_click = models.BooleanField(
        "by one click", default=False, help_text="By the mail program's own button, not on our page."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name = "opt-out"
        constraints = [
            # Fan-out looks a recipient up through this one.
            models.UniqueConstraint(fields=["address", "subscription"], name="opt_out_once"),
            models.CheckConstraint(
                condition=Q(address=models.functions.Lower("address")), name="opt_out_in_small_letters"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address} from {self.subscription}"
