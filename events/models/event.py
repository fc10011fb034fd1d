"""Events: immutable facts, the inbox of those not yet fanned out, and the keys that make publishing idempotent."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events import ids

from .catalog import EventType
from .parties import Subscriber
from .queues import Queue

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3001, 1, 1, tzinfo=UTC)


class Event(models.Model):
    """One fact as it was published, or amended before any of it was sent; its payload is kept byte for byte."""

    class Source(models.TextChoices):
        POSTED = "posted", "Posted"
        OBJECT_CHANGE = "object_change", "Object change"
        THRESHOLD = "threshold", "Threshold"
        SCHEDULE = "schedule", "Schedule"
        INACTIVITY = "inactivity", "Inactivity"
        CHAINED = "chained", "Another event"

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField(unique=True, default=ids.uuid7, editable=False)
    type = models.ForeignKey(EventType, models.PROTECT, related_name="events")
    publisher = models.ForeignKey(
        Subscriber, models.PROTECT, null=True, related_name="events", help_text="Empty: this system itself."
    )
    queue = models.ForeignKey(
        Queue,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Set: only this queue, not all routed ones.",
    )
    source = models.CharField(max_length=13, choices=Source, default=Source.POSTED)
    account = models.CharField(max_length=100, blank=True)
    ordering_key = models.CharField(max_length=200, blank=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    data = models.TextField(help_text="The payload, byte for byte as it was published.")
    occurred_at = models.DateTimeField()
    deliver_at = models.DateTimeField(null=True, help_text="Not before this time.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Python cannot read every time that PostgreSQL can hold: one such row would stop its readers.
            models.CheckConstraint(
                condition=Q(occurred_at__range=(EARLIEST, LATEST))
                & (Q(deliver_at=None) | Q(deliver_at__range=(EARLIEST, LATEST))),
                name="event_times_readable",
            )
        ]
        indexes = [
            # The event log filters: newest first, by type, by account, by key; nothing else reads them.
            models.Index(fields=["type", "-id"], name="event_by_type"),
            models.Index(fields=["account", "-id"], name="event_by_account", condition=~Q(account="")),
            models.Index(fields=["ordering_key", "-id"], name="event_by_key", condition=~Q(ordering_key="")),
            models.Index(
                fields=["idempotency_key"], name="event_by_idempotency_key", condition=~Q(idempotency_key="")
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id that the outside sees, `evt_…`."""
        return ids.public("evt", self.uid)


class InboxEntry(models.Model):
    """An event that is not fanned out yet. Narrow, so that the wide event row is never updated."""

    event = models.OneToOneField(Event, models.CASCADE, primary_key=True, related_name="inbox_entry")
    due_at = models.DateTimeField(null=True, help_text="Set: wait until then.")

    class Meta:
        verbose_name_plural = "inbox entries"
        indexes = [
            # The sequencer's first statement releases what has fallen due.
            models.Index(fields=["due_at"], name="inbox_waiting", condition=Q(due_at__isnull=False)),
            # The sequencer reads the rest by id.
            models.Index(fields=["event"], name="inbox_ready", condition=Q(due_at=None)),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class QuarantinedEvent(models.Model):
    """An event that made fan-out raise: set aside where people see it, in nobody's way."""

    event = models.OneToOneField(Event, models.CASCADE, primary_key=True, related_name="quarantine")
    error = models.TextField()
    quarantined_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-quarantined_at"]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class WithheldEvent(models.Model):
    """An event that is not fanned out: its publisher holds it back, or took it back before anything was sent."""

    class Cause(models.TextChoices):
        HELD = "held", "Held by its publisher"
        CANCELLED = "cancelled", "Cancelled by its publisher"

    event = models.OneToOneField(Event, models.CASCADE, primary_key=True, related_name="withheld")
    cause = models.CharField(max_length=9, choices=Cause)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-since"]

    def __str__(self) -> str:
        return f"event {self.event_id}: {self.cause}"


class IdempotencyKey(models.Model):
    """A publisher's key and what was published under it. Never expires, so it points at no row that may."""

    # 0 stands for this system itself: NULLs would not collide on every supported server the same way.
    publisher_id = models.BigIntegerField()
    key = models.CharField(max_length=200)
    event_id = models.BigIntegerField()
    event_uid = models.UUIDField()
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the canonical content.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["publisher_id", "key"], name="idempotency_key_once_per_publisher")
        ]

    def __str__(self) -> str:
        return self.key
