"""The delivery processes of one host, as their watchdog last saw them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Cluster(models.Model):
    """One host's django-q2 processes for one queue, while something watches them."""

    # The queue of its own, by which a task reaches this cluster and no other: QUEUE@HOST:PID:TOKEN.
    address = models.CharField(max_length=100, primary_key=True)
    queue = models.CharField(max_length=20)
    host = models.CharField(max_length=64)
    started_at = models.DateTimeField(db_default=Now())
    proven_at = models.DateTimeField(db_default=Now(), help_text="A task last went all the way through it.")
    busy_pids = ArrayField(models.IntegerField(), default=list, help_text="Its workers that do a task now.")

    class Meta:
        ordering = ["host", "queue"]

    def __str__(self) -> str:
        return self.address
