"""What triggers did and will do: firings, the ledger, the calendar, and back-tests."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events.exact import ExactJSONField

from .event import Event
from .triggers import Trigger


class Firing(models.Model):
    """That a rule fired for an object, tier and period. Its key is what makes it once; kept for ever."""

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="firings")
    kind = models.CharField(max_length=50)
    external_id = models.CharField(max_length=100)
    tier = models.CharField(max_length=60, blank=True)
    period = models.CharField(max_length=200, blank=True)
    event_id = models.BigIntegerField(null=True, help_text="Empty: covered by a higher threshold.")
    depth = models.PositiveSmallIntegerField(
        default=0, help_text="How many events caused each other before it."
    )
    fired_at = models.DateTimeField(db_default=Now())
    recovered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trigger", "kind", "external_id", "tier", "period"], name="firing_once"
            )
        ]
        indexes = [
            # A change asks what of its object still stands (events/triggers/recover.py).
            models.Index(
                fields=["kind", "external_id", "trigger"],
                name="firing_standing",
                condition=Q(recovered_at=None),
            ),
            # A chained rule asks how deep its cause is (events/triggers/chain.py).
            models.Index(fields=["event_id"], name="firing_by_event", condition=Q(event_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.external_id} {self.tier} {self.period}".strip()


class LedgerEntry(models.Model):
    """Why a rule did, or did not, fire: one evaluation that mattered. Removed by retention."""

    class Outcome(models.TextChoices):
        FIRED = "fired", "Fired"
        NOT_MET = "not_met", "Conditions not met"
        ALREADY = "already", "Already fired"
        CANCELLED = "cancelled", "Cancelled"
        INACTIVE = "inactive", "Destination inactive"
        FAULTY = "faulty", "Rule faulty"
        SCHEDULED = "scheduled", "Scheduled"
        RECOVERED = "recovered", "Recovered"

    id = models.BigAutoField(primary_key=True)
    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="ledger")
    outcome = models.CharField(max_length=9, choices=Outcome)
    kind = models.CharField(max_length=50, blank=True)
    external_id = models.CharField("object", max_length=100, blank=True)
    account = models.CharField(max_length=100, blank=True)
    tier = models.CharField(max_length=60, blank=True)
    period = models.CharField(max_length=200, blank=True)
    detail = models.TextField(blank=True, help_text="The reason, in a sentence.")
    findings = models.JSONField(default=list, help_text="Each condition, with the value it saw.")
    change_id = models.BigIntegerField(null=True)
    event_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "trigger ledger entry"
        verbose_name_plural = "trigger ledger entries"
        ordering = ["-id"]
        indexes = [
            # The ledger page and the API filter by object, rule, account and outcome, newest first.
            models.Index(fields=["kind", "external_id", "-id"], name="ledger_by_object"),
            models.Index(fields=["trigger", "-id"], name="ledger_by_trigger"),
            models.Index(fields=["account", "-id"], name="ledger_by_account", condition=~Q(account="")),
            models.Index(fields=["outcome", "-id"], name="ledger_by_outcome"),
            # Retention removes the oldest (events/triggers/prune.py).
            models.Index(fields=["at"], name="ledger_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()}: {self.kind}:{self.external_id}"


class TriggerDay(models.Model):
    """How often a rule came to each outcome on a day; what is not written to the ledger is counted here."""

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="days")
    day = models.DateField()
    outcome = models.CharField(max_length=9, choices=LedgerEntry.Outcome)
    count = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trigger", "day", "outcome"], name="trigger_day_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.outcome}: {self.count}"


class ScheduledFiring(models.Model):
    """One thing that will fire at its time, unless a person or an event withdraws it."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waits"
        FIRED = "fired", "Fired"
        CANCELLED = "cancelled", "Cancelled"
        NOT_MET = "not_met", "Not fired"
        FAULTY = "faulty", "Rule faulty"

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="scheduled")
    anchor_key = models.CharField(max_length=300, help_text="What it was scheduled for; once for each rule.")
    anchor_event_id = models.BigIntegerField(null=True)
    anchor_at = models.DateTimeField(help_text="The date or time from which days count.")
    is_date = models.BooleanField(default=False, help_text="The anchor is a calendar date, in no zone.")
    kind = models.CharField(max_length=50, blank=True)
    external_id = models.CharField("object", max_length=100, blank=True)
    account = models.CharField(max_length=100, blank=True)
    period = models.CharField(max_length=200, blank=True)
    match_value = models.CharField(max_length=200, blank=True, help_text="What a cancelling event names.")
    zone = models.CharField("time zone", max_length=60, default="UTC")
    due_at = models.DateTimeField()
    schedule_version = models.PositiveIntegerField(default=1)
    is_by_hand = models.BooleanField(
        "moved or cancelled by hand", default=False, help_text="What is reported later does not undo it."
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was cancelled or not fired.")
    event_id = models.BigIntegerField(null=True)
    settled_at = models.DateTimeField(null=True)
    late_by = models.DurationField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "scheduled firing"
        ordering = ["due_at"]
        constraints = [
            models.UniqueConstraint(fields=["trigger", "anchor_key"], name="scheduled_once"),
            models.CheckConstraint(
                condition=Q(status="pending", settled_at=None) | ~Q(status="pending"),
                name="scheduled_pending_is_open",
            ),
        ]
        indexes = [
            # The evaluator takes what is due; the calendar shows what comes.
            models.Index(fields=["due_at"], name="scheduled_due", condition=Q(status="pending")),
            # A cancelling event finds the account's; the calendar filters by account.
            models.Index(
                fields=["account", "trigger"], name="scheduled_by_account", condition=Q(status="pending")
            ),
            models.Index(fields=["kind", "external_id"], name="scheduled_by_object"),
            # What an older x, t or zone computed is computed again, in order of id.
            models.Index(
                fields=["trigger", "schedule_version", "id"],
                name="scheduled_stale",
                condition=Q(status="pending"),
            ),
            # Retention removes what was settled long ago.
            models.Index(
                fields=["settled_at"], name="scheduled_settled", condition=Q(settled_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.anchor_key


class AnchorEntry(models.Model):
    """An event at which rules have yet to look: as what starts a clock, a cause, or what cancels."""

    event = models.OneToOneField(Event, models.CASCADE, primary_key=True, related_name="anchor_entry")

    class Meta:
        verbose_name_plural = "anchor entries"

    def __str__(self) -> str:
        return f"event {self.event_id}"


class EvaluatorCall(models.Model):
    """That somebody has asked for an evaluation which has not begun: so that a thousand reports queue one."""

    id = models.SmallIntegerField(primary_key=True)
    wanted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"wanted at {self.wanted_at}"


class BackTest(models.Model):
    """What a rule would have done over stored history."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"
        INTERRUPTED = "interrupted", "Interrupted"

    trigger = models.ForeignKey(Trigger, models.CASCADE, related_name="back_tests")
    days = models.PositiveIntegerField(default=30)
    status = models.CharField(max_length=11, choices=Status, default=Status.RUNNING)
    looked_at = models.BigIntegerField("looked at", default=0)
    total = models.BigIntegerField(default=0)
    fired = models.BigIntegerField("would have fired", default=0)
    accounts = models.BigIntegerField("accounts", default=0)
    result = ExactJSONField(default=dict)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When it last made progress.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.trigger}, {self.days} days"
