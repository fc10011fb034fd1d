"""Predefined mails, and the rules that pick an SMTP profile."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

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
    """Mails about this event type, resource or category leave by this profile, unless their subscription names one."""

    event_type = models.OneToOneField(
        EventType,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="profile_rule",
        help_text="Only this event type. Comes before a rule for its resource or category.",
    )
    resource = models.CharField(
        max_length=50,
        blank=True,
        help_text="All event types about this, such as payment. Comes before a rule for their category.",
    )
    category = models.CharField(
        max_length=50, blank=True, help_text="All event types of this group of the catalog, such as payments."
    )
    profile = models.ForeignKey(
        SmtpProfile, models.PROTECT, related_name="rules", verbose_name="SMTP profile"
    )

    class Meta:
        verbose_name = "SMTP profile rule"
        ordering = ["event_type", "resource", "category"]
        constraints = [
            models.CheckConstraint(
                condition=Q(event_type__isnull=False, resource="", category="")
                | (Q(event_type=None, category="") & ~Q(resource=""))
                | (Q(event_type=None, resource="") & ~Q(category="")),
                name="profile_rule_exactly_one",
                violation_error_message="Fill in exactly one of event type, resource and category.",
            ),
            models.UniqueConstraint(
                fields=["resource"],
                condition=~Q(resource=""),
                name="profile_rule_once_per_resource",
                violation_error_message="There is a rule for this resource already: change that one.",
            ),
            models.UniqueConstraint(
                fields=["category"],
                condition=~Q(category=""),
                name="profile_rule_once_per_category",
                violation_error_message="There is a rule for this category already: change that one.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type or self.resource or self.category} → {self.profile}"

    def clean(self) -> None:
        """A resource or category that no event type has would never match."""
        for name in ("resource", "category"):
            value = getattr(self, name)
            known = sorted(set(EventType.objects.values_list(name, flat=True))) if value else []
            if value and value not in known:
                raise ValidationError(
                    {name: f"No event type has the {name} {value!r}. There are: {', '.join(known)}."}
                )
