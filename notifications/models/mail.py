"""Predefined mails, and the rules that pick an SMTP profile."""

from django.db import models

from events.models import EventType
from smtpprofiles.models import SmtpProfile


class EmailTemplate(models.Model):
    """A predefined email: subject, text and HTML in Liquid, bound to event types."""

    name = models.CharField(max_length=100, unique=True)
    event_types = models.ManyToManyField(
        EventType,
        related_name="email_templates",
        help_text="The template may use the tokens that all of these offer.",
    )
    subject = models.CharField(max_length=500, help_text="Liquid, e.g. Invoice {{ invoice.number }}.")
    text = models.TextField(help_text="The plain text part, in Liquid.")
    html = models.TextField("HTML", blank=True, help_text="The HTML part, in Liquid. Empty: text only.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProfileRule(models.Model):
    """Mails about this event type leave by this profile, unless their subscription names its own."""

    event_type = models.OneToOneField(EventType, models.CASCADE, related_name="profile_rule")
    profile = models.ForeignKey(
        SmtpProfile, models.PROTECT, related_name="rules", verbose_name="SMTP profile"
    )

    class Meta:
        verbose_name = "SMTP profile rule"
        ordering = ["event_type"]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.profile}"
