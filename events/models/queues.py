"""Queues, and which event types flow into them."""

from django.core.validators import RegexValidator
from django.db import models

from .catalog import EventType

QUEUE_NAME = RegexValidator(r"^[a-z][a-z0-9-]*$", "Use lower-case letters, digits and hyphens, e.g. billing.")


class Queue(models.Model):
    """A named stream of events that subscriptions read."""

    name = models.CharField(max_length=50, unique=True, validators=[QUEUE_NAME])
    description = models.CharField(max_length=200, blank=True)
    is_ordered = models.BooleanField(
        "in order",
        default=True,
        help_text="In order: per subscription and ordering key, nothing is delivered before what came before it.",
    )
    is_paused = models.BooleanField(
        "paused", default=False, help_text="While paused, events are taken and wait; none is lost."
    )
    event_types = models.ManyToManyField(EventType, through="Route", related_name="queues")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Route(models.Model):
    """One event type flows into one queue."""

    queue = models.ForeignKey(Queue, models.CASCADE, related_name="routes")
    event_type = models.ForeignKey(EventType, models.CASCADE, related_name="routes")

    class Meta:
        verbose_name = "queue routing"
        verbose_name_plural = "queue routing"
        ordering = ["queue", "event_type"]
        constraints = [models.UniqueConstraint(fields=["queue", "event_type"], name="route_once")]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.queue}"
