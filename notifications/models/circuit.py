"""Circuits: what the engine knows of how an endpoint or SMTP profile fares, shared by all workers."""

from django.db import models
from django.db.models import Q

from smtpprofiles.models import SmtpProfile

from .endpoint import Endpoint


class Circuit(models.Model):
    """The circuit breaker and the rate of one endpoint or SMTP profile. A healthy one is never written."""

    endpoint = models.OneToOneField(Endpoint, models.CASCADE, null=True, related_name="circuit")
    profile = models.OneToOneField(SmtpProfile, models.CASCADE, null=True, related_name="circuit")
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    failed_deliveries = models.PositiveIntegerField(
        default=0, help_text="How often, in that row, another delivery failed than the one before."
    )
    last_failed = models.BigIntegerField(null=True, help_text="The delivery that failed last.")
    timeouts = models.PositiveIntegerField(default=0, help_text="In a row.")
    failing_since = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="Open: nothing is sent but one probe now and then.")
    probe_at = models.DateTimeField(null=True, help_text="When the next probe may be sent.")
    probes = models.PositiveIntegerField(default=0, help_text="Failed since it opened.")
    closed_at = models.DateTimeField(null=True, help_text="Since when it recovers: a slow start.")
    tokens = models.FloatField(default=0, help_text="Sends that its rate allows at tokens_at.")
    tokens_at = models.DateTimeField(null=True)
    backlog_left = models.PositiveIntegerField(default=0, help_text="Of a backlog that goes at its own rate.")
    backlog_per_minute = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(endpoint__isnull=False, profile=None) | Q(endpoint=None, profile__isnull=False),
                name="circuit_one_destination",
            ),
            models.CheckConstraint(
                condition=Q(opened_at=None, probe_at=None)
                | Q(opened_at__isnull=False, probe_at__isnull=False),
                name="circuit_open_has_probe",
            ),
            models.CheckConstraint(
                condition=Q(backlog_left=0) | Q(backlog_per_minute__isnull=False),
                name="circuit_backlog_has_rate",
            ),
        ]
        indexes = [
            # How many hang now: what their probes back off by.
            models.Index(fields=["id"], name="circuit_hanging", condition=Q(timeouts__gt=0)),
            # The list of open ones.
            models.Index(fields=["opened_at"], name="circuit_open", condition=Q(opened_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.endpoint or self.profile)
