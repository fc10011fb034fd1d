"""Predefined mails, and the rules that pick an SMTP profile."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from events.models import EventType
from smtpprofiles.models import SmtpProfile

_SLOT = re.compile(r"\{\{-?\s*content\s*-?\}\}")
LOCALE = RegexValidator(
    r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$",
    "Write a locale as de or de-AT: en, en-GB, pt-BR.",
)
PARTIAL_NAME = RegexValidator(
    r"^[a-z][a-z0-9_-]*$", "Use small letters, digits, - and _; start with a letter."
)


class EmailLayout(models.Model):
    """The frame that mails share: head, style sheet, letterhead and foot around their content."""

    name = models.CharField(max_length=100, unique=True)
    html = models.TextField(
        "HTML",
        help_text="A whole page with {{ content }} where the mail's HTML goes, and {{ preheader }} where its "
        "preview line goes. Its style elements are inlined; their @media rules stay.",
    )
    text = models.TextField(
        blank=True, help_text="The same for the plain text, with {{ content }}. Empty: no frame."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Exactly one place for the content."""
        faults = {}
        for field in ("html", "text"):
            found = len(_SLOT.findall(getattr(self, field)))
            if found != 1 and (field == "html" or self.text):
                faults[field] = f"Write {{{{ content }}}} exactly once; it is there {found} times."
        if faults:
            raise ValidationError(faults)


class EmailPartial(models.Model):
    """A piece of mail that layouts and templates share, put in by {% render "name" %}."""

    name = models.CharField(max_length=50, unique=True, validators=[PARTIAL_NAME])
    html = models.TextField("HTML", blank=True, help_text="What the HTML part gets, in Liquid.")
    text = models.TextField(blank=True, help_text="What the plain text gets, in Liquid.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Wording(models.Model):
    """What a mail says, in Liquid."""

    subject = models.CharField(max_length=500, help_text="Liquid, e.g. Invoice {{ invoice.number }}.")
    preheader = models.CharField(
        max_length=500,
        blank=True,
        help_text="The line that inboxes show beside the subject, in Liquid. Empty: the first words of the mail.",
    )
    text = models.TextField(blank=True, help_text="The plain text part, in Liquid. Empty: made of the HTML.")
    html = models.TextField(
        "HTML",
        blank=True,
        help_text="The HTML part, in Liquid; with a layout, its content. Empty: text only.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Something to say."""
        if not self.text.strip() and not self.html.strip():
            raise ValidationError({"text": "Write the text, the HTML, or both."})


class EmailTemplate(Wording):
    """A predefined email: subject, text and HTML in Liquid, bound to event types."""

    name = models.CharField(max_length=100, unique=True)
    event_types = models.ManyToManyField(
        EventType,
        related_name="email_templates",
        help_text="The template may use the tokens that all of these offer.",
    )
    locale = models.CharField(
        max_length=20,
        default="en-US",
        validators=[LOCALE],
        help_text="The language of the words below; money, numbers and dates are written as there, "
        "or as in the account's country where that speaks the same language.",
    )
    layout = models.ForeignKey(
        EmailLayout,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="templates",
        help_text="The frame around it. Empty: none.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class EmailVariant(Wording):
    """The same mail in another language, for accounts whose locale asks for it."""

    template = models.ForeignKey(EmailTemplate, models.CASCADE, related_name="variants")
    locale = models.CharField(
        max_length=20, validators=[LOCALE], help_text="de is for every de-…; de-AT goes before it."
    )

    class Meta:
        ordering = ["locale"]
        constraints = [
            models.UniqueConstraint(
                fields=["template", "locale"],
                name="email_variant_once",
                violation_error_message="This template has words for that locale already.",
            )
        ]

    def __str__(self) -> str:
        return self.locale


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
