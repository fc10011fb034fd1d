"""Who gets which of the product's own mails in the demo, and by which account."""

from dataclasses import dataclass

BILLING = "Billing"
OPERATIONS = "Operations"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One of the product's mails, and who gets it.

    `shows` names the payload's values that a reader must find in the mail, as they were posted. `users` and
    `groups` are names of this system's.
    """

    event_type: str
    shows: tuple[str, ...]
    to_customer: bool = True
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    subscriber: str = "Customer care"
    profile: str = BILLING


LETTERS = (
    Letter(
        event_type="invoice.posted",
        shows=("invoice.number", "account.display_name", "contact.first_name"),
    ),
    Letter(
        event_type="invoice.delivered",
        shows=("invoice.number", "account.display_name", "delivery.document_url"),
        to_customer=False,
        addresses=("document-desk@example.com",),
    ),
    Letter(
        event_type="invoice.delivery_offset",
        shows=("invoice.number", "contact.first_name"),
    ),
    Letter(
        event_type="invoice.overdue",
        shows=("invoice.number", "account.display_name"),
        addresses=("collections@example.com",),
    ),
    Letter(
        event_type="payment.processed",
        shows=("payment.number", "payment.method_mask"),
    ),
    Letter(
        event_type="payment.failed",
        shows=("payment.number", "error.message"),
        groups=("Billing operations",),
    ),
    Letter(
        event_type="credit.processed",
        shows=("credit.number", "account.display_name"),
    ),
    Letter(
        event_type="refund.processed",
        shows=("refund.number", "refund.reason"),
    ),
    Letter(
        event_type="bill_run.started",
        shows=("bill_run.name", "bill_run.bill_group"),
        to_customer=False,
        groups=("Billing operations",),
        subscriber="Revenue operations",
        profile=OPERATIONS,
    ),
    Letter(
        event_type="bill_run.completed",
        shows=("bill_run.name", "bill_run.accounts_failed", "bill_run.error_summary"),
        to_customer=False,
        groups=("Billing operations",),
        addresses=("finance@example.com",),
        subscriber="Revenue operations",
        profile=OPERATIONS,
    ),
    Letter(
        event_type="account.status_changed",
        shows=("account.name", "status.current", "status.reason"),
    ),
    Letter(
        event_type="account.cancelled",
        shows=("account.name", "contact.first_name"),
        users=("care-lead",),
    ),
    Letter(
        event_type="package.cancelled",
        shows=("package.name", "account.display_name"),
    ),
    Letter(
        event_type="contract.under_committed",
        shows=("contract.name", "account.display_name"),
        to_customer=False,
        users=("care-lead",),
        subscriber="Revenue operations",
    ),
    Letter(
        event_type="service.state_transitioned",
        shows=("service.identifier", "transition.to_state", "contact.first_name"),
    ),
    Letter(
        event_type="sim.dormant",
        shows=("sim.iccid", "sim.msisdn", "account.display_name"),
        to_customer=False,
        groups=("Network operations",),
        profile=OPERATIONS,
    ),
    Letter(
        event_type="usage.threshold_exceeded",
        shows=("service.identifier", "usage.current", "account.display_name"),
        groups=("Network operations",),
        profile=OPERATIONS,
    ),
)
