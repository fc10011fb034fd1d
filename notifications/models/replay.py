"""Replays: deliveries that are sent once more, beside the live traffic."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events.models import Subscriber

from .endpoint import Endpoint
from .subscription import Subscription


class Replay(models.Model):
    """One order to send deliveries again: which ones, by whom, and how far it is."""

    class Status(models.TextChoices):
        RUNNING = "running", "Being reopened"
        DONE = "done", "All reopened"

    status = models.CharField(max_length=7, choices=Status, default=Status.RUNNING)
    # What is asked for; where ids are given, the rest is empty.
    ids: "models.Field[list[uuid.UUID], list[uuid.UUID]]" = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="These deliveries."
    )
    subscription = models.ForeignKey(
        Subscription, models.CASCADE, null=True, blank=True, related_name="replays"
    )
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, null=True, blank=True, related_name="replays")
    created_after = models.DateTimeField(null=True, blank=True)
    created_before = models.DateTimeField(null=True, blank=True)
    event_type = models.CharField(max_length=100, blank=True)
    ordering_key = models.CharField(max_length=200, blank=True)
    after_sequence = models.BigIntegerField(
        null=True, blank=True, help_text="With an ordering key: only what has a higher number."
    )
    statuses: "models.Field[list[str], list[str]]" = ArrayField(models.CharField(max_length=10), default=list)
    subscriber = models.ForeignKey(
        Subscriber,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only of its subscriptions: of a subscriber's key.",
    )
    # Where it is: deliveries are taken by their ids, up to the last one that there was.
    position = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    total = models.PositiveIntegerField(default=0, help_text="How many were found when it was ordered.")
    reopened = models.PositiveIntegerField(default=0)
    left_alone = models.PositiveIntegerField(default=0, help_text="Found, and on their way again by then.")
    actor_name = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Whoever carries replays on looks for those that are not done.
            models.Index(fields=["id"], name="replay_running", condition=Q(status="running"))
        ]

    def __str__(self) -> str:
        return f"replay {self.pk}"
