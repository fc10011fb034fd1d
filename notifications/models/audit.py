"""Who did what, when and why."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, Now


class AuditEntry(models.Model):
    """One action of an operator. Append-only."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    actor_name = models.CharField("who", max_length=150)
    action = models.CharField(max_length=50)
    kind = models.GeneratedField(
        expression=models.Func(F("action"), Value("."), Value(1), function="split_part"),
        output_field=models.CharField(max_length=50),
        db_persist=True,
    )
    subject = models.CharField(max_length=200, help_text="What it was done to.")
    name = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="What that was called then."
    )
    reason = models.TextField(blank=True)
    changes = models.JSONField(
        default=list, db_default=[], help_text="Of an edit: each field, what it was and what it is."
    )
    origin = models.CharField(
        "from", max_length=100, blank=True, default="", db_default="", help_text="The address it came from."
    )
    created_at = models.DateTimeField("date", db_default=Now())

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject"], name="audit_by_subject"),
            # The audit list looks for names, and filters by who, kind, action and time, newest first.
            models.Index(Lower("name"), name="audit_by_name", condition=~Q(name="")),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["kind", "-id"], name="audit_by_kind"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["created_at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.subject}"
