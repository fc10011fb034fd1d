"""The processes that run the engine."""

from django.db import models
from django.db.models.functions import Now

from events import ids


class Runner(models.Model):
    """A process that is draining the channels now."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7)
    host = models.CharField(max_length=100)
    pid = models.IntegerField()
    cluster = models.CharField(max_length=100, blank=True, help_text="Which installation's `up` started it.")
    is_stopping = models.BooleanField(default=False, help_text="Asked to end early.")
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
