"""Channels: what a worker leases, and where it writes what it has in flight."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from smtpprofiles.models import SmtpProfile

from .circuit import Circuit
from .endpoint import Endpoint


class Channel(models.Model):
    """One shard of an endpoint or SMTP profile: what a worker leases."""

    class RestCause(models.TextChoices):
        NONE = "", "—"
        ASKED = "asked", "The receiver asked to be left alone (Retry-After)"
        HANGING = "hanging", "It did not answer in time; the next try is a careful one"
        OPEN = "open", "It failed again and again; one probe at a time finds out when it works"
        RATE = "rate", "Its rate limit"

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, null=True, related_name="channels")
    profile = models.ForeignKey(SmtpProfile, models.CASCADE, null=True, related_name="channels")
    circuit = models.ForeignKey(Circuit, models.CASCADE, related_name="channels")
    shard = models.PositiveSmallIntegerField(default=0)
    is_paused = models.BooleanField(default=False)
    due_at = models.DateTimeField(null=True, help_text="When it has work; empty: none is known.")
    not_before = models.DateTimeField(null=True, help_text="It rests until then.")
    rest_cause = models.CharField(max_length=7, choices=RestCause, blank=True, default=RestCause.NONE)
    leased_until = models.DateTimeField(null=True)
    owner = models.CharField(max_length=100, blank=True)
    # Grows with every lease and never goes back: a settle with an older one is fenced.
    epoch = models.BigIntegerField(default=0)
    # Grows with every new piece of work: a worker may call the channel idle only if it stood still.
    wake = models.BigIntegerField(default=0)
    # Deliveries that may have been sent: known, should their worker die.
    in_flight = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(endpoint__isnull=False, profile=None) | Q(endpoint=None, profile__isnull=False),
                name="channel_one_destination",
            ),
            models.UniqueConstraint(
                fields=["endpoint", "shard"], name="channel_once_per_endpoint", condition=Q(profile=None)
            ),
            models.UniqueConstraint(
                fields=["profile", "shard"], name="channel_once_per_profile", condition=Q(endpoint=None)
            ),
            models.CheckConstraint(
                condition=Q(leased_until=None, owner="") | (Q(leased_until__isnull=False) & ~Q(owner="")),
                name="channel_owned_while_leased",
            ),
        ]
        indexes = [
            # The claim reads this index, and nothing else does.
            models.Index(
                fields=["due_at"], name="channel_due", condition=Q(due_at__isnull=False, is_paused=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint or self.profile} #{self.shard}"
