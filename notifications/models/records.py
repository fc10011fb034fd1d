"""What was sent and what came back: append-only, partitioned by month (see migration 0002)."""

from django.db import models

from events import ids

from .delivery import Delivery


class Attempt(models.Model):
    """One try of one delivery."""

    class Verdict(models.TextChoices):
        DELIVERED = "delivered", "Delivered"
        RETRY = "retry", "Failed, to be retried"
        REJECTED = "rejected", "Refused for good"
        UNKNOWN = "unknown", "Unknown: it may have arrived"
        BLOCKED = "blocked", "The channel is at fault"
        CRASHED = "crashed", "The worker died: it may have arrived"

    id = models.UUIDField(primary_key=True, default=ids.uuid7)
    # No constraint in the database: it would cost every insert, and partitions are dropped whole.
    delivery = models.ForeignKey(
        Delivery, models.DO_NOTHING, related_name="attempts", db_constraint=False, db_index=False
    )
    number = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=9, choices=Verdict)
    status_code = models.PositiveSmallIntegerField(null=True)
    error_class = models.CharField(max_length=30, blank=True)
    detail = models.TextField(blank=True)
    duration_ms = models.PositiveIntegerField(help_text="Milliseconds from start to answer.")
    address = models.CharField(max_length=100, blank=True)
    # Of webhooks; empty: it did not come to that, or the connection was there already.
    dns_ms = models.PositiveIntegerField("name resolved", null=True, help_text="Milliseconds.")
    connect_ms = models.PositiveIntegerField("connected", null=True, help_text="Milliseconds.")
    tls_ms = models.PositiveIntegerField("TLS handshake", null=True, help_text="Milliseconds.")
    first_byte_ms = models.PositiveIntegerField(
        "first byte of the answer",
        null=True,
        help_text="Milliseconds from the request's first byte to the answer's.",
    )
    is_reused = models.BooleanField(
        "kept connection", default=False, help_text="It went over a connection that was open already."
    )
    request_headers = models.TextField(blank=True)
    response_headers = models.TextField(blank=True)
    response_body = models.TextField(blank=True)
    provider_id = models.CharField(
        max_length=200, blank=True, help_text="What a provider of mail calls the message."
    )
    worker = models.CharField(max_length=100)
    epoch = models.BigIntegerField()
    is_fenced = models.BooleanField(
        "late", default=False, help_text="Its worker's lease had run out: it changed nothing."
    )
    started_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "notifications_attempt"
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class RenderedBody(models.Model):
    """The exact text of a delivery, rendered once before its first attempt and sent on every one."""

    delivery = models.OneToOneField(
        Delivery, models.DO_NOTHING, primary_key=True, related_name="rendered", db_constraint=False
    )
    delivery_created_at = models.DateTimeField(help_text="The partition key: the delivery's own created_at.")
    body = models.TextField()
    headers = models.JSONField(default=list, help_text="Name/value pairs sent as headers.")
    query = models.JSONField(default=list, help_text="Name/value pairs sent in the query.")

    class Meta:
        managed = False
        db_table = "notifications_renderedbody"
        verbose_name_plural = "rendered bodies"

    def __str__(self) -> str:
        return f"body of delivery {self.delivery_id}"
