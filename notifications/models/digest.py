"""Storm control: the periods that deliveries are counted in, and what of them goes out together."""

from django.db import models
from django.db.models import Q

from events.models import Event

from .delivery import Delivery
from .subscription import Subscription


class Digest(models.Model):
    """One period of a subscription and recipient, and the digest of what went beyond its limit.

    Without an event it counts only; with one it collects until that falls due; with a delivery it is on its way.
    """

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="digests", db_index=False)
    recipient = models.CharField(max_length=320, blank=True)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="When the period ends, and the digest goes out.")
    passed = models.PositiveIntegerField(default=0, help_text="How many went out one by one.")
    # Its place in the inbox: the sequencer closes the digest when it takes this one up.
    event = models.OneToOneField(
        Event, models.CASCADE, null=True, related_name="collecting_digest", db_constraint=False
    )
    # Constrained by the migration, with a cascade: deliveries may be pruned in bulk.
    delivery = models.OneToOneField(
        Delivery, models.CASCADE, null=True, related_name="digest", db_constraint=False
    )
    size = models.PositiveIntegerField(default=0, help_text="How many deliveries it carries.")
    closed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, help_text="What it carries has been settled.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # The sequencer finds the running period by it; so do the lists of a subscription's digests.
            models.UniqueConstraint(
                fields=["subscription", "recipient"], condition=Q(delivery=None), name="digest_one_open"
            ),
            models.CheckConstraint(
                condition=Q(event=None) | Q(delivery=None), name="digest_collects_or_is_sent"
            ),
            models.CheckConstraint(
                condition=Q(delivery=None, closed_at=None, finished_at=None)
                | Q(delivery__isnull=False, closed_at__isnull=False),
                name="digest_closed_when_sent",
            ),
        ]
        indexes = [
            # Whoever settles what digests carry looks for those that are under way.
            models.Index(
                fields=["subscription", "recipient"],
                name="digest_under_way",
                condition=Q(delivery__isnull=False, finished_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"digest of {self.subscription_id} due {self.due_at:%Y-%m-%d %H:%M}"


class Collected(models.Model):
    """A delivery that goes out in a digest: in one, and in no other."""

    delivery = models.OneToOneField(
        Delivery, models.CASCADE, primary_key=True, related_name="collected", db_constraint=False
    )
    digest = models.ForeignKey(
        Digest, models.CASCADE, related_name="members", db_index=False, db_constraint=False
    )

    class Meta:
        indexes = [
            # What a digest carries, in the order of its events.
            models.Index(fields=["digest", "delivery"], name="collected_of_digest")
        ]

    def __str__(self) -> str:
        return f"delivery {self.delivery_id} in digest {self.digest_id}"
