"""SMTP profiles: the accounts from which notifications are mailed."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import CheckConstraint, Q

from . import rotation, vet
from .account import Account, Authentication, Security
from .accounts import account_of
from .choices import SECRETS, AuthenticationChoice, KindChoice, OnUnknown, SecurityChoice
from .encryption import EncryptedTextField
from .providers import PROVIDERS, Kind
from .tls import validate_ca_certificate
from .validators import ascii_only, one_line, validate_host, validate_https_url, validate_region


class SmtpProfile(models.Model):
    """One set of SMTP or provider credentials, with the From name and address of the mail it sends."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(
        max_length=10,
        choices=KindChoice,
        default=KindChoice.SMTP,
        help_text="An SMTP server, or the API of a provider.",
    )
    host = models.CharField(
        "SMTP server",
        max_length=253,
        blank=True,
        validators=[validate_host],
        help_text="Microsoft 365: smtp.office365.com; Google: smtp.gmail.com; both port 587 with STARTTLS.",
    )
    port = models.PositiveIntegerField(
        "SMTP port",
        default=25,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text="Usually 25, 587 with STARTTLS, or 465 with TLS from the start.",
    )
    security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.NONE)
    from_name = models.CharField("From name", max_length=200, blank=True, validators=[one_line])
    from_address = models.EmailField(
        "From address", help_text="Also the envelope sender, unless “Bounces go to” names another."
    )
    reply_to = models.EmailField("Reply-To address", blank=True)
    bounce_address = models.EmailField(
        "Bounces go to",
        blank=True,
        default="",
        db_default="",
        help_text="The envelope sender (Return-Path), such as bounces@example.com, whose mail is handed to us: "
        "docs/mail.md. Empty: the From address.",
    )
    suppresses_bounces = models.BooleanField(
        "suppress addresses that do not exist",
        default=True,
        db_default=True,
        help_text="An address that a server says does not exist (5.1.1 and the like) gets no more mail until "
        "it is released. Untick it where a relay says so of others, too.",
    )
    authentication = models.CharField(
        max_length=18,
        choices=AuthenticationChoice,
        default=AuthenticationChoice.PASSWORD,
        help_text="Microsoft 365 wants OAuth2: client credentials; Google takes an app password, or OAuth2: "
        "refresh token.",
    )
    username = models.CharField(
        "SMTP username",
        max_length=255,
        blank=True,
        validators=[ascii_only],
        help_text="With OAuth2, the mailbox that sends. Empty with an empty password: no login.",
    )
    password = EncryptedTextField("SMTP password", blank=True, default="")
    oauth_token_url = models.CharField(
        "token URL",
        max_length=500,
        blank=True,
        validators=[validate_https_url],
        help_text="Microsoft 365: https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token; "
        "Google: https://oauth2.googleapis.com/token.",
    )
    oauth_client_id = models.CharField("client id", max_length=255, blank=True, validators=[one_line])
    oauth_client_secret = EncryptedTextField("client secret", blank=True, default="")
    oauth_scope = models.CharField(
        "scope",
        max_length=500,
        blank=True,
        validators=[one_line],
        help_text="Microsoft 365: https://outlook.office365.com/.default; Google: https://mail.google.com/.",
    )
    oauth_refresh_token = EncryptedTextField("refresh token", blank=True, default="")
    provider_key = EncryptedTextField("API key", blank=True, default="")
    provider_secret = EncryptedTextField("secret key", blank=True, default="")
    provider_token = EncryptedTextField("session token", blank=True, default="", db_default="")
    provider_region = models.CharField(
        "region",
        max_length=32,
        blank=True,
        default="",
        db_default="",
        validators=[validate_region],
        help_text="Amazon SES: where the identity is verified, such as eu-central-1.",
    )
    provider_domain = models.CharField(
        "sending domain",
        max_length=253,
        blank=True,
        validators=[validate_host],
        help_text="Mailgun: the domain that is verified there, such as mg.example.com.",
    )
    provider_url = models.CharField(
        "API address",
        max_length=500,
        blank=True,
        validators=[validate_https_url],
        help_text="Empty: the usual one. In the EU, Mailgun has https://api.eu.mailgun.net/v3 and SparkPost "
        "https://api.eu.sparkpost.com/api/v1.",
    )
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
    connect_seconds = models.PositiveSmallIntegerField(
        "connect timeout",
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(15)],
        help_text="Seconds of it until there is a connection, 1 to 15.",
    )
    mails_per_connection = models.PositiveIntegerField(
        "mails per connection",
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text="After so many a connection is closed and another opened, 1 to 100,000.",
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
    on_unknown = models.CharField(
        "when nobody can say whether a mail was taken",
        max_length=6,
        choices=OnUnknown,
        default=OnUnknown.RESEND,
        help_text="The connection was lost after the text had been sent. Sent again it may arrive twice; "
        "mail systems that know the Message-ID show it once.",
    )
    fallback = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="stands_in_for",
        verbose_name="fallback profile",
        help_text="Sends in its place while this one is paused or inactive, from its own From address.",
    )
    is_default = models.BooleanField(
        "default",
        default=False,
        help_text="Used where neither the subscription nor a rule names a profile.",
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
            CheckConstraint(condition=Q(port__range=(1, 65535)), name="smtp_profile_port"),
            CheckConstraint(
                condition=Q(security__in=[security.value for security in Security]),
                name="smtp_profile_security",
            ),
            CheckConstraint(condition=Q(timeout_seconds__range=(1, 15)), name="smtp_profile_timeout_bounded"),
            CheckConstraint(
                condition=Q(max_connections__range=(1, 64)), name="smtp_profile_connections_bounded"
            ),
            CheckConstraint(
                condition=Q(rate_per_minute=None) | Q(rate_per_minute__range=(1, 600_000)),
                name="smtp_profile_rate_bounded",
            ),
            CheckConstraint(
                condition=~Q(kind="smtp") | ~Q(host=""),
                name="smtp_profile_has_host",
                violation_error_message="Name the SMTP server.",
            ),
            CheckConstraint(condition=Q(kind__in=[kind.value for kind in Kind]), name="smtp_profile_kind"),
            CheckConstraint(
                condition=Q(authentication__in=[each.value for each in Authentication]),
                name="smtp_profile_authentication",
            ),
            CheckConstraint(condition=Q(on_unknown__in=["resend", "hold"]), name="smtp_profile_on_unknown"),
            CheckConstraint(condition=Q(connect_seconds__range=(1, 15)), name="smtp_profile_connect_bounded"),
            CheckConstraint(
                condition=Q(mails_per_connection__range=(1, 100_000)), name="smtp_profile_mails_bounded"
            ),
            CheckConstraint(
                condition=~Q(fallback=models.F("id")), name="smtp_profile_is_not_its_own_fallback"
            ),
            CheckConstraint(condition=~Q(from_address=""), name="smtp_profile_has_from_address"),
        ]

    SECRETS = SECRETS

    @classmethod
    def secrets(cls, path: str = "") -> list[str]:
        """What to `defer()` where none of them is needed, so that one that no key opens breaks no page."""
        return [f"{path}{name}" for name in cls.SECRETS]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def keep_new_refresh_tokens(cls) -> None:
        """Write down what token servers put in the place of refresh tokens since this was last called."""
        for pk, token in rotation.take().items():
            cls.objects.filter(pk=pk).update(oauth_refresh_token=token)

    def clean(self) -> None:
        """What its kind and its way of logging in need is there, and its fallbacks lead in no circle."""
        vet.check(self)

    @property
    def is_open(self) -> bool:
        """Whether mail may be sent through it now."""
        return self.is_active and not self.paused_reason

    @property
    def label(self) -> str:
        """Where its mail goes, for lists: the server and port, or the provider."""
        return f"{self.host}:{self.port}" if self.kind == Kind.SMTP else PROVIDERS[Kind(self.kind)].label

    def account(self) -> Account:
        """The values a sender needs; SecretUnreadable where a secret cannot be decrypted."""
        return account_of(self)
