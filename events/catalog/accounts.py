"""Event types about accounts and their contracts."""

from .groups import ACCOUNT, CONTACT, CORE
from .types import EventTypeSpec, Kind, group, token

CONTRACT = group(
    "contract",
    token("contract.id", Kind.STRING, "600", "Identifies the contract in the billing system."),
    token("contract.name", Kind.STRING, "IoT commitment 2026", "Name of the contract."),
    token("contract.status", Kind.STRING, "Active", "Status of the contract."),
    token("contract.start", Kind.DATE, "2026-01-01", "First day of the contract."),
    token("contract.end", Kind.DATE, "2026-12-31", "Last day of the contract."),
    token(
        "commitment.type", Kind.STRING, "amount", "What was committed to, such as package, usage or amount."
    ),
    token("commitment.period_start", Kind.DATE, "2026-10-01", "First day of the commitment period."),
    token("commitment.period_end", Kind.DATE, "2026-10-31", "Last day of the commitment period."),
    token("tier.number", Kind.INTEGER, "2", "Number of the commitment tier, from 1."),
    token("tier.name", Kind.STRING, "Tier 2", "Name of the commitment tier."),
    token("tier.committed", Kind.DECIMAL, "1000.00", "What was committed to in the tier, in its unit."),
    token("tier.actual", Kind.DECIMAL, "640.00", "What was reached, in the tier's unit."),
    token("tier.shortfall", Kind.DECIMAL, "360.00", "What is missing, in the tier's unit."),
    token("tier.shortfall_percent", Kind.DECIMAL, "36", "What is missing, in per cent of the commitment."),
    token("tier.unit", Kind.STRING, "CAD", "Unit of the tier: a currency code, or a unit of usage."),
    token("penalty.service", Kind.STRING, "Shortfall charge", "Service by which the shortfall is charged."),
    token(
        "penalty.amount",
        Kind.DECIMAL,
        "360.00",
        "What is charged for the shortfall, in the account's currency.",
    ),
)

EVENT_TYPES = (
    EventTypeSpec(
        code="account.status_changed",
        label="Account Status Change",
        description="The status of an account changed.",
        operation="update",
        category="accounts",
        groups=(CORE, ACCOUNT, CONTACT),
        required=("status.current",),
        own=(
            token("status.previous", Kind.STRING, "Active", "Status before the change."),
            token("status.current", Kind.STRING, "Suspended", "Status after the change."),
            token("status.reason", Kind.STRING, "Payment overdue", "Why the status changed."),
            token(
                "status.changed_at", Kind.DATETIME, "2026-11-22T14:03:09Z", "When the status changed, in UTC."
            ),
            token("status.changed_by", Kind.STRING, "collections", "Who or what changed the status."),
        ),
        samples={"account.status": "Suspended"},
    ),
    EventTypeSpec(
        code="account.cancelled",
        label="Account Cancellation",
        description="An account was cancelled.",
        operation="delete",
        category="accounts",
        groups=(CORE, ACCOUNT, CONTACT),
        own=(
            token("cancellation.effective_date", Kind.DATE, "2026-11-22", "Last day of the account."),
            token(
                "cancellation.requested_at",
                Kind.DATETIME,
                "2026-11-20T15:41:00Z",
                "When the cancellation was asked for, in UTC.",
            ),
            token("cancellation.reason", Kind.STRING, "Business closed", "Why the account was cancelled."),
            token("cancellation.requested_by", Kind.STRING, "customer", "Who asked for the cancellation."),
            token(
                "cancellation.final_balance",
                Kind.DECIMAL,
                "80.00",
                "What the account still owes, in its currency.",
            ),
            token(
                "cancellation.open_invoice_count", Kind.INTEGER, "2", "How many invoices are not paid yet."
            ),
            token(
                "cancellation.termination_fee",
                Kind.DECIMAL,
                "50.00",
                "Fee for leaving early, in the account's currency; part of the final balance.",
            ),
        ),
        samples={"account.status": "Cancelled", "account.balance": "80.00", "account.balance_due": "80.00"},
    ),
    EventTypeSpec(
        code="contract.under_committed",
        label="Contract Under Commit",
        description="A commitment period closed below what was committed to; one event per commitment tier.",
        operation="update",
        category="contracts",
        groups=(CORE, ACCOUNT, CONTRACT, CONTACT),
        required=("contract.id",),
        occurred_at="2026-11-01T04:00:00Z",
        source="threshold",
    ),
)
