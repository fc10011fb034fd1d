"""Event types about bill runs: of many accounts at once, so with totals and without an account's tokens."""

from .groups import CORE
from .types import EventTypeSpec, Kind, group, token

BILL_RUN = group(
    "bill_run",
    token("bill_run.id", Kind.STRING, "88", "Identifies the bill run in the billing system."),
    token("bill_run.name", Kind.STRING, "November, day 22", "Name of the bill run."),
    token(
        "bill_run.type",
        Kind.STRING,
        "invoice",
        "What the bill run does, such as invoice or payment_collection.",
    ),
    token("bill_run.bill_group", Kind.STRING, "Monthly, day 22", "Group of accounts that it bills."),
    token("bill_run.period_start", Kind.DATE, "2026-10-22", "First day of the billed period."),
    token("bill_run.period_end", Kind.DATE, "2026-11-21", "Last day of the billed period."),
    token("bill_run.started_at", Kind.DATETIME, "2026-11-22T02:00:00Z", "When the bill run started, in UTC."),
    token("bill_run.started_by", Kind.STRING, "scheduler", "Who or what started the bill run."),
    token("bill_run.accounts_expected", Kind.INTEGER, "4200", "How many accounts it is to bill."),
)

EVENT_TYPES = (
    EventTypeSpec(
        code="bill_run.started",
        label="Bill Run Started",
        description="A bill run was initiated.",
        operation="create",
        category="bill runs",
        groups=(CORE, BILL_RUN),
        occurred_at="2026-11-22T02:00:00Z",
        ordering_prefix="bill_run",
    ),
    EventTypeSpec(
        code="bill_run.completed",
        label="Bill Run Completed",
        description="A bill run came to its end, whether or not every account could be billed.",
        operation="update",
        category="bill runs",
        groups=(CORE, BILL_RUN),
        own=(
            token(
                "bill_run.status",
                Kind.STRING,
                "completed_with_errors",
                "How the bill run ended: completed, completed_with_errors or failed.",
                choices=("completed", "completed_with_errors", "failed"),
            ),
            token(
                "bill_run.completed_at",
                Kind.DATETIME,
                "2026-11-22T03:30:12Z",
                "When the bill run ended, in UTC.",
            ),
            token(
                "bill_run.duration_seconds", Kind.INTEGER, "5412", "How long the bill run took, in seconds."
            ),
            token("bill_run.accounts_processed", Kind.INTEGER, "4188", "How many accounts were billed."),
            token("bill_run.accounts_failed", Kind.INTEGER, "12", "How many accounts could not be billed."),
            token("bill_run.invoices_created", Kind.INTEGER, "4188", "How many invoices it created."),
            token(
                "bill_run.totals",
                Kind.LIST,
                '[{"currency": "CAD", "amount": "812345.10"}, {"currency": "USD", "amount": "96410.55"}]',
                "What was invoiced in all: one amount for each currency.",
            ),
            token(
                "bill_run.error_summary",
                Kind.STRING,
                "12 accounts have no billing address",
                "What went wrong, in one sentence.",
            ),
        ),
        occurred_at="2026-11-22T03:30:12Z",
        ordering_prefix="bill_run",
    ),
)
