"""When an object was last used: one narrow row for each object and kind of activity."""

from django.db import models


class Activity(models.Model):
    """The latest activity of one object, as `events.activity.record` was told."""

    class Kind(models.TextChoices):
        USAGE = "usage", "Usage"
        NETWORK = "network", "Network registration"

    pk = models.CompositePrimaryKey("kind", "activity", "external_id")
    kind = models.CharField(max_length=50)
    activity = models.CharField(max_length=7, choices=Kind)
    external_id = models.CharField(max_length=100)
    last_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "activities"
        indexes = [
            # The daily scan for what has been silent since a day reads this index and no row.
            models.Index(fields=["kind", "activity", "last_at", "external_id"], name="activity_silent")
        ]

    def __str__(self) -> str:
        return f"{self.activity} of {self.kind}:{self.external_id}"
