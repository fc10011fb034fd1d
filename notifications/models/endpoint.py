"""Endpoints: where webhooks go, and how they are authenticated."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual

from events.models import Subscriber
from notifications import endpoint_url
from notifications.transports.signing import new_key_pair, new_secret, public_key
from smtpprofiles.encryption import EncryptedTextField
from smtpprofiles.tls import validate_ca_certificate

from .authentication import Authentication


class Endpoint(Authentication):
    """Base URL, path, authentication and limits of one webhook receiver."""

    # Encrypted: pages leave them out, so that one that no key opens breaks none.
    SECRETS = ("secret", "key_pair", "password", "bearer_token", "client_secret", "api_key", "client_key")
    # With what is long besides, and shown by no list.
    BULKY = (*SECRETS, "ca_certificate", "token_ca_certificate", "client_certificate")

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=100)
    base_url = models.TextField(
        "base URL",
        validators=[endpoint_url.validate_base_url],
        help_text="https:// and a host, without a port, at most 2048 characters.",
    )
    path = models.CharField(
        max_length=1024,
        blank=True,
        validators=[endpoint_url.validate_path],
        help_text="Path to the receiver below the base URL, e.g. /hooks/billing.",
    )
    secret = EncryptedTextField(default=new_secret, editable=False)
    ca_certificate = models.TextField(
        "CA certificate",
        blank=True,
        validators=[validate_ca_certificate],
        help_text="PEM; only where the receiver's certificate comes from a private CA.",
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(15)], help_text="1 to 15."
    )
    max_in_flight = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="How many requests may be under way at once, 1 to 64. A new or failing receiver gets one; "
        "more follow while its answers are fast.",
    )
    rate_per_minute = models.PositiveIntegerField(
        "rate limit",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(600_000)],
        help_text="Requests a minute at most, 1 to 600,000. Empty: no limit.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="While inactive, its deliveries wait; none is lost."
    )
    paused_reason = models.TextField(blank=True, help_text="Why the system paused it; empty it to resume.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["subscriber", "name"]
        permissions = [("reveal_secret", "Can reveal signing secrets")]
        constraints = [
            *Authentication.Meta.constraints,
            models.UniqueConstraint(fields=["subscriber", "name"], name="endpoint_name_once"),
            models.CheckConstraint(
                condition=Q(base_url__startswith="https://") & Q(LessThanOrEqual(Length("base_url"), 2048)),
                name="endpoint_https",
                violation_error_message="The base URL starts with https:// and has at most 2048 characters.",
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__range=(1, 15)), name="endpoint_timeout_bounded"
            ),
            models.CheckConstraint(
                condition=Q(max_in_flight__range=(1, 64)), name="endpoint_concurrency_bounded"
            ),
            models.CheckConstraint(
                condition=Q(rate_per_minute=None) | Q(rate_per_minute__range=(1, 600_000)),
                name="endpoint_rate_bounded",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """Base URL and path, joined: what is called."""
        return endpoint_url.join(self.base_url, self.path)

    @property
    def is_open(self) -> bool:
        """Whether deliveries may be sent to it now."""
        return self.is_active and not self.paused_reason

    def clean(self) -> None:
        """Store the host as it is looked up, and have a key pair where one is wanted."""
        self.base_url = endpoint_url.normalise_base_url(self.base_url)
        self._fit_key_pair()

    def save(self, **options: Any) -> None:
        """Save it, with a key pair of its own as soon as it signs by Ed25519, and none before."""
        if self._fit_key_pair() and options.get("update_fields") is not None:
            options["update_fields"] = {*options["update_fields"], "key_pair", "public_key"}
        super().save(**options)

    def _fit_key_pair(self) -> bool:
        """Make a key pair, or drop it; tell whether something changed."""
        if "signs_ed25519" in self.get_deferred_fields() or self.signs_ed25519 == bool(self.public_key):
            return False
        self.key_pair = new_key_pair() if self.signs_ed25519 else ""
        self.public_key = public_key(self.key_pair) if self.key_pair else ""
        return True
