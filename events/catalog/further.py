"""Event types beyond the 17: what is added, and the end of what another event told of."""

from .accounts import CONTRACT
from .groups import ACCOUNT, CONTACT, CORE, PACKAGE, SERVICE
from .invoices import INVOICE
from .types import EventTypeSpec, Kind, token
from .usage import BUCKET, SIM

EVENT_TYPES = (
    EventTypeSpec(
        code="package.added",
        label="Package Addition",
        description="A package was added to an account.",
        operation="create",
        category="packages",
        groups=(CORE, ACCOUNT, PACKAGE, CONTACT),
        required=("package.id",),
        source="object_change",
    ),
    EventTypeSpec(
        code="bucket.added",
        label="Bucket Addition",
        description="A usage bucket was added to a service.",
        operation="create",
        category="usage",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, BUCKET, CONTACT),
        required=("bucket.id",),
        source="object_change",
    ),
    EventTypeSpec(
        code="bucket.cancelled",
        label="Bucket Cancellation",
        description="A usage bucket was cancelled or removed.",
        operation="delete",
        category="usage",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, BUCKET, CONTACT),
        required=("bucket.id",),
        source="object_change",
    ),
    EventTypeSpec(
        code="invoice.overdue_paid",
        label="Overdue Invoice Paid",
        description="An invoice that was told of as overdue has no balance left.",
        operation="update",
        category="invoices",
        groups=(CORE, ACCOUNT, INVOICE, CONTACT),
        required=("invoice.id",),
        samples={"invoice.paid": "249.00", "invoice.balance": "0.00", "account.balance": "0.00"},
        source="object_change",
    ),
    EventTypeSpec(
        code="contract.commitment_reached",
        label="Commitment Reached After All",
        description="A commitment tier that was told of as short has been reached by later charges.",
        operation="update",
        category="contracts",
        groups=(CORE, ACCOUNT, CONTRACT, CONTACT),
        required=("contract.id",),
        samples={"tier.actual": "1000.00", "tier.shortfall": "0.00", "tier.shortfall_percent": "0"},
        source="threshold",
    ),
    EventTypeSpec(
        code="sim.woke",
        label="SIM Used Again",
        description="A SIM that was told of as dormant is used again.",
        operation="update",
        category="usage",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, SIM, CONTACT),
        own=(
            token(
                "usage.last_at", Kind.DATETIME, "2026-11-22T05:12:44Z", "When the SIM was used again, in UTC."
            ),
        ),
        required=("sim.iccid",),
        source="inactivity",
    ),
)
