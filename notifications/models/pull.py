"""How far a subscriber has read a queue by itself."""

from django.db import models
from django.db.models.functions import Now

from events.models import Queue, Subscriber


class PullCursor(models.Model):
    """What a subscriber acknowledged of a queue, and how far it was handed out."""

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="pull_cursors")
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="+")
    position = models.BigIntegerField(default=0, help_text="The delivery acknowledged last; 0: none yet.")
    position_at = models.DateTimeField(null=True, help_text="When that delivery was made.")
    handed_out = models.BigIntegerField(default=0, help_text="The highest delivery that was ever read.")
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "queue"], name="pull_cursor_once_per_queue")
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} on {self.queue}"
