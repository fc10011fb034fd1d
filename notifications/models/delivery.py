"""Lanes and deliveries.

The mutable state of a send is on its channel (lease, ids in flight) and its lane (head), so that a
delivery is written twice in its life: when it is made, and when it is settled.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events import ids
from events.models import Event

from .channel import Channel
from .replay import Replay
from .subscription import Subscription

# Held, and no pause that ends and no digest will let it go on.
FOR_A_PERSON = Q(status="held") & ~Q(hold_cause__in=["paused", "collected"])


class Lane(models.Model):
    """The in-order sequence of one subscription, ordering key and (for mail) recipient."""

    # No index for each foreign key: a lane enters every index with each event, and those below serve them.
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="lanes", db_index=False)
    key = models.CharField(max_length=240)
    recipient = models.CharField(max_length=320, blank=True)
    # A replay's own lane keeps the numbers of the lane that its deliveries come from.
    home = models.ForeignKey("self", models.PROTECT, null=True, related_name="replays", db_index=False)
    channel = models.ForeignKey(Channel, models.PROTECT, related_name="lanes", db_index=False)
    tail = models.BigIntegerField(default=0, help_text="The last number given out.")
    next_sequence = models.BigIntegerField(default=1, help_text="The number of its head.")
    due_at = models.DateTimeField(null=True, help_text="When its head may be sent; empty: idle or blocked.")
    blocked_by = models.ForeignKey(
        "Delivery",
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        help_text="The head a person must decide on.",
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "key", "recipient"], name="lane_once"),
            models.CheckConstraint(
                condition=Q(next_sequence__lte=models.F("tail") + 1), name="lane_head_within_tail"
            ),
            models.CheckConstraint(
                condition=Q(blocked_by=None) | Q(due_at=None), name="lane_blocked_not_due"
            ),
        ]
        indexes = [
            # The claim reads a channel's due lanes from this index.
            models.Index(fields=["channel", "due_at"], name="lane_due", condition=Q(due_at__isnull=False)),
            # What came before in a lane may have moved to one of its replays.
            models.Index(fields=["home"], name="lane_of_replay", condition=Q(home__isnull=False)),
            # The list of blocked lanes.
            models.Index(fields=["blocked_by"], name="lane_blocked", condition=Q(blocked_by__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.key} → {self.recipient or self.subscription}"


class Delivery(models.Model):
    """One event on its way to one recipient of one subscription.

    "In flight" is not a status of the row: a delivery is in flight while its channel, under a
    running lease, lists its id.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"  # not tried yet
        RETRYING = "retrying", "Retrying"  # tried, due again at due_at
        HELD = "held", "Held"  # waits for the named cause
        DELIVERED = "delivered", "Delivered"
        DEAD = "dead", "Dead"  # every try of the schedule is spent, or the other side refused for good
        CANCELLED = "cancelled", "Cancelled"
        SKIPPED = "skipped", "Skipped"  # a person or the policy let its lane go on without it
        DIGESTED = "digested", "Digested"
        SUPPRESSED = "suppressed", "Suppressed"

    WAITING = (Status.PENDING, Status.RETRYING)
    UNFINISHED = (Status.PENDING, Status.RETRYING, Status.HELD)

    class HoldCause(models.TextChoices):
        NONE = "", "—"
        EXHAUSTED = "exhausted", "All retries are spent; its lane waits for a person"
        REFUSED = "refused", "The other side refused it for good; its lane waits for a person"
        CRASHED = "crashed", "Its worker died three times while sending it"
        UNKNOWN = "unknown", "It may have arrived already; its SMTP profile leaves it to a person"
        RENDERING = "rendering", "Its template or parameters could not be rendered"
        OPERATOR = "operator", "Held by a person"
        PAUSED = "paused", "Its queue or subscription is paused"
        PUBLISHER = "publisher", "Held by the publisher of its event"
        COLLECTED = "collected", "Storm control: it goes out in a digest"

    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField(unique=True, default=ids.uuid7, editable=False)
    # No index for each foreign key: a row enters every index twice in its life, and those below serve them.
    # Nor a constraint: triggers check all that a statement adds at once (migration 0018).
    event = models.ForeignKey(
        Event, models.PROTECT, related_name="deliveries", db_index=False, db_constraint=False
    )
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, related_name="deliveries", db_index=False, db_constraint=False
    )
    recipient = models.CharField(max_length=320, blank=True)
    channel = models.ForeignKey(
        Channel,
        models.PROTECT,
        null=True,
        related_name="deliveries",
        db_index=False,
        db_constraint=False,
        help_text="Empty: it could go nowhere.",
    )
    lane = models.ForeignKey(
        Lane, models.PROTECT, null=True, related_name="deliveries", db_index=False, db_constraint=False
    )
    sequence = models.BigIntegerField(null=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    hold_cause = models.CharField(max_length=10, choices=HoldCause, blank=True, default=HoldCause.NONE)
    due_at = models.DateTimeField(null=True)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    crash_count = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)
    replay = models.ForeignKey(
        Replay,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="deliveries",
        db_index=False,
        help_text="The last one that reopened it.",
    )
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        constraints = [
            # Fanning out the same event twice changes nothing.
            models.UniqueConstraint(fields=["event", "subscription", "recipient"], name="delivery_once"),
            # Gap-free numbers, each once; the claim reads a lane from its head on through it, and the order
            # headers n-1.
            models.UniqueConstraint(
                fields=["lane", "sequence"],
                name="delivery_number_once_per_lane",
                condition=Q(lane__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(channel__isnull=False) | Q(status="suppressed"), name="delivery_goes_somewhere"
            ),
            models.CheckConstraint(
                condition=Q(lane=None, sequence=None) | Q(lane__isnull=False, sequence__isnull=False),
                name="delivery_number_in_lane",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "retrying"], due_at__isnull=False)
                | (~Q(status__in=["pending", "retrying"]) & Q(due_at=None)),
                name="delivery_due_while_waiting",
            ),
            models.CheckConstraint(
                condition=(Q(status="held") & ~Q(hold_cause="")) | (~Q(status="held") & Q(hold_cause="")),
                name="delivery_hold_has_cause",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "retrying", "held"], settled_at=None)
                | (~Q(status__in=["pending", "retrying", "held"]) & Q(settled_at__isnull=False)),
                name="delivery_settled_when_final",
            ),
        ]
        indexes = [
            # The claim reads a channel's parallel deliveries from this index.
            models.Index(
                fields=["channel", "due_at", "id"],
                name="delivery_due",
                condition=Q(status__in=["pending", "retrying"], lane=None),
            ),
            # What goes on when a queue or subscription does.
            models.Index(
                fields=["subscription", "id"], name="delivery_parked", condition=Q(hold_cause="paused")
            ),
            # How far a replay is.
            models.Index(fields=["replay"], name="delivery_by_replay", condition=Q(replay__isnull=False)),
            # The delivery log: newest of a status, of a subscription, to an address. Most are delivered: the
            # newest of those are found by their ids.
            models.Index(
                fields=["status", "-id"], name="delivery_by_status", condition=~Q(status="delivered")
            ),
            # What waits for a person, of which there is little however much is paused; the start page counts it.
            models.Index(
                fields=["-id"],
                name="delivery_for_a_person",
                condition=FOR_A_PERSON,
            ),
            models.Index(fields=["subscription", "-id"], name="delivery_by_subscription"),
            models.Index(
                fields=["recipient", "-id"], name="delivery_by_recipient", condition=~Q(recipient="")
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id that the outside sees, `dlv_…`: the webhook-id, and part of the Message-ID."""
        return ids.public("dlv", self.uid)
