"""Saved rows that no longer fit what their event types offer."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .mail import EmailTemplate
from .subscription import Subscription


class Misfit(models.Model):
    """A subscription or email template that would be refused if it were saved as it is; gone once it fits."""

    subscription = models.OneToOneField(
        Subscription, models.CASCADE, null=True, related_name="misfit", editable=False
    )
    email_template = models.OneToOneField(
        EmailTemplate, models.CASCADE, null=True, related_name="misfit", editable=False
    )
    told = models.TextField(help_text="What is wrong, and what mends it.")
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "row that needs attention"
        verbose_name_plural = "rows that need attention"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(subscription__isnull=False, email_template=None)
                | Q(subscription=None, email_template__isnull=False),
                name="misfit_one_row",
            )
        ]

    def __str__(self) -> str:
        return str(self.row)

    @property
    def row(self) -> Subscription | EmailTemplate | None:
        """What needs attention."""
        return self.subscription or self.email_template
