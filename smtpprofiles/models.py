"""SMTP profiles: the accounts from which notifications are mailed."""

import re

import idna
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from .account import Security, SmtpAccount
from .encryption import EncryptedTextField
from .guard import literal_address
from .tls import validate_ca_certificate

one_line = RegexValidator(
    re.compile(r"[\x00-\x1f\x7f]"),
    "Line breaks and control characters are not allowed here.",
    inverse_match=True,
)
ascii_only = RegexValidator(
    r"\A[\x20-\x7e]*\Z", "Mail servers take user names and passwords in plain ASCII only."
)


def validate_host(value: str) -> None:
    """ValidationError unless the value is a host name or an address, and nothing more."""
    try:
        if literal_address(value) is None:
            idna.encode(value.removesuffix("."), uts46=True)
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is not a host name. Write only the name, such as smtp.example.com; "
            "the port has a field of its own.",
            code="host",
        ) from error


class SmtpProfile(models.Model):
    """One set of SMTP credentials, with the From name and address of the mail it sends."""

    class SecurityChoice(models.TextChoices):
        NONE = Security.NONE.value, "None"
        STARTTLS = Security.STARTTLS.value, "STARTTLS"
        TLS = Security.TLS.value, "TLS from the start"

    name = models.CharField(max_length=100, unique=True)
    host = models.CharField("SMTP server", max_length=253, validators=[validate_host])
    port = models.PositiveIntegerField(
        "SMTP port",
        default=25,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text="Usually 25, 587 with STARTTLS, or 465 with TLS from the start.",
    )
    security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.NONE)
    from_name = models.CharField("From name", max_length=200, blank=True, validators=[one_line])
    from_address = models.EmailField(
        "From address", help_text="Also the envelope sender: this is where bounces go."
    )
    reply_to = models.EmailField("Reply-To address", blank=True)
    username = models.CharField(
        "SMTP username", max_length=255, blank=True, validators=[ascii_only], help_text="Empty: no login."
    )
    password = EncryptedTextField("SMTP password", blank=True, default="")
    ca_certificate = models.TextField(
        "CA certificate",
        blank=True,
        validators=[validate_ca_certificate],
        help_text="PEM; only where the server's certificate comes from a private CA.",
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(15)],
        help_text="For one mail as a whole, connecting included; 1 to 15.",
    )
    max_connections = models.PositiveSmallIntegerField(
        "connections",
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="How many mails may be under way at once, 1 to 64.",
    )
    rate_per_minute = models.PositiveIntegerField(
        "rate limit",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(600_000)],
        help_text="Mails a minute at most, 1 to 600,000. Empty: no limit.",
    )
    is_default = models.BooleanField(
        "default", default=False, help_text="Used where neither subscription nor event type names a profile."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="While inactive, its mail waits; none is lost."
    )
    paused_reason = models.TextField(blank=True, help_text="Why the system paused it; empty it to resume.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "SMTP profile"
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="smtp_profile_one_default",
                violation_error_message="Another profile is the default already.",
            ),
            models.CheckConstraint(condition=Q(port__range=(1, 65535)), name="smtp_profile_port"),
            models.CheckConstraint(
                condition=Q(security__in=[security.value for security in Security]),
                name="smtp_profile_security",
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__range=(1, 15)), name="smtp_profile_timeout_bounded"
            ),
            models.CheckConstraint(
                condition=Q(max_connections__range=(1, 64)), name="smtp_profile_connections_bounded"
            ),
            models.CheckConstraint(
                condition=Q(rate_per_minute=None) | Q(rate_per_minute__range=(1, 600_000)),
                name="smtp_profile_rate_bounded",
            ),
            models.CheckConstraint(condition=~Q(host=""), name="smtp_profile_has_host"),
            models.CheckConstraint(condition=~Q(from_address=""), name="smtp_profile_has_from_address"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether mail may be sent through it now."""
        return self.is_active and not self.paused_reason

    def account(self) -> SmtpAccount:
        """The values a sender needs; SecretUnreadable where the password cannot be decrypted."""
        return SmtpAccount(
            host=self.host,
            port=self.port,
            security=Security(self.security),
            username=self.username,
            password=self.password,
            ca_certificate=self.ca_certificate,
            timeout_seconds=self.timeout_seconds,
        )
