"""Changes of billing objects: what triggers have yet to look at, and the history behind back-tests."""

from django.db import models
from django.db.models.functions import Now

from events.exact import ExactJSONField

from .catalog import Operation


class Change(models.Model):
    """One create, update or delete of a billing object. Append-only but for `evaluated_at` and the folding.

    The table is partitioned by month of `reported_at` (migration 0003, events/partitions.py).
    """

    class Source(models.TextChoices):
        API = "api", "API"
        SIGNAL = "signal", "Django signal"
        BULK = "bulk", "Bulk call"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=50)
    external_id = models.CharField("id in the billing system", max_length=100)
    operation = models.CharField(max_length=6, choices=Operation)
    before = ExactJSONField(null=True, help_text="The state before; empty for a create.")
    after = ExactJSONField(null=True, help_text="The state after; empty for a delete.")
    version = models.BigIntegerField(null=True)
    source = models.CharField(max_length=6, choices=Source)
    occurred_at = models.DateTimeField(help_text="When it happened, as the reporter says.")
    reported_at = models.DateTimeField(db_default=Now(), help_text="When it was written here.")
    # A signal writes its row without looking at the object; `events.fold` does it afterwards.
    is_partial = models.BooleanField(
        default=False, help_text="Until it is folded, `after` has some fields only."
    )
    folded_at = models.DateTimeField(null=True, help_text="Empty: not compared with the object yet.")
    evaluated_at = models.DateTimeField(null=True, help_text="Empty: triggers have not looked at it yet.")
    error = models.TextField(blank=True, help_text="Why it could not be taken over.")

    class Meta:
        managed = False
        db_table = "events_change"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.operation} {self.kind}:{self.external_id}"
