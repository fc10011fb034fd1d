"""Event types about money that moves: refunds, credits and payments."""

from .groups import ACCOUNT, CONTACT, CORE
from .types import EventTypeSpec, Kind, Only, group, token

REFUND = group(
    "refund",
    token("refund.id", Kind.STRING, "9001", "Identifies the refund in the billing system."),
    token("refund.number", Kind.STRING, "RF-9", "Number of the refund."),
    token("refund.amount", Kind.DECIMAL, "49.00", "What was refunded, in the refund's currency."),
    token("refund.currency", Kind.STRING, "CAD", "Currency of the refund, as an ISO 4217 code."),
    token(
        "refund.method", Kind.STRING, "card", "How it was refunded, such as card, cheque or credit_balance."
    ),
    token("refund.reason", Kind.STRING, "Service outage", "Why it was refunded."),
    token("refund.gateway_reference", Kind.STRING, "re_example_0009", "The payment gateway's own reference."),
    token(
        "refund.processed_at", Kind.DATETIME, "2026-11-22T14:03:09Z", "When the refund was processed, in UTC."
    ),
    token(
        "refund.original_payment_number", Kind.STRING, "PAY-311", "Number of the payment that was refunded."
    ),
    token("refund.is_partial", Kind.BOOLEAN, "true", "Whether only a part of the payment was refunded."),
    token("refund.invoice_numbers", Kind.LIST, '["INV-1042"]', "Numbers of the invoices that it concerns."),
)

CREDIT = group(
    "credit",
    token("credit.id", Kind.STRING, "7701", "Identifies the credit in the billing system."),
    token("credit.number", Kind.STRING, "CN-77", "Number of the credit note."),
    token("credit.amount", Kind.DECIMAL, "30.00", "What was credited, in the credit's currency."),
    token("credit.applied_amount", Kind.DECIMAL, "20.00", "What of it has been set against invoices."),
    token("credit.remaining_amount", Kind.DECIMAL, "10.00", "What of it is left."),
    token("credit.currency", Kind.STRING, "CAD", "Currency of the credit, as an ISO 4217 code."),
    token("credit.reason", Kind.STRING, "Goodwill", "Why it was credited."),
    token("credit.issued_on", Kind.DATE, "2026-11-22", "Date of the credit note."),
    token(
        "credit.document_url",
        Kind.STRING,
        "https://billing.example.com/credits/CN-77.pdf",
        "Where the credit note can be downloaded.",
    ),
    token(
        "credit.invoice_numbers",
        Kind.LIST,
        '["INV-1042"]',
        "Numbers of the invoices that it was set against.",
    ),
)

PAYMENT = group(
    "payment",
    token("payment.id", Kind.STRING, "3110", "Identifies the payment in the billing system."),
    token("payment.number", Kind.STRING, "PAY-311", "Number of the payment."),
    token("payment.amount", Kind.DECIMAL, "249.00", "What was to be paid, in the payment's currency."),
    token("payment.currency", Kind.STRING, "CAD", "Currency of the payment, as an ISO 4217 code."),
    token("payment.method_type", Kind.STRING, "card", "Kind of payment method, such as card or ach."),
    token("payment.method_mask", Kind.STRING, "Visa •••• 4242", "The payment method, masked."),
    token("payment.gateway", Kind.STRING, "Example Pay", "Name of the payment gateway."),
    token(
        "payment.gateway_reference", Kind.STRING, "ch_example_0311", "The payment gateway's own reference."
    ),
    token(
        "payment.processed_at",
        Kind.DATETIME,
        "2026-11-22T14:03:09Z",
        "When the payment was processed, in UTC.",
    ),
    token("payment.invoice_numbers", Kind.LIST, '["INV-1042"]', "Numbers of the invoices that it pays."),
    token("payment.is_automatic", Kind.BOOLEAN, "true", "Whether the billing system collected it by itself."),
)

PAYMENT_ERROR = group(
    "payment_error",
    token("error.code", Kind.STRING, "card_declined", "The failure, as a code."),
    token(
        "error.message", Kind.STRING, "The card was declined: insufficient funds.", "The failure, in words."
    ),
    token(
        "error.category",
        Kind.STRING,
        "soft",
        "Whether trying again may help (soft), will not (hard), or the gateway itself failed (system).",
        choices=("soft", "hard", "system"),
    ),
    token("attempt.count", Kind.INTEGER, "2", "Which attempt it was, from 1."),
    token("attempt.maximum", Kind.INTEGER, "4", "How many attempts are made at most."),
    token(
        "attempt.next_at",
        Kind.DATETIME,
        "2026-11-25T14:00:00Z",
        "When the next attempt is due, in UTC; empty after the last.",
    ),
    token("attempt.is_final", Kind.BOOLEAN, "false", "Whether it was the last attempt."),
)

EVENT_TYPES = (
    EventTypeSpec(
        code="refund.processed",
        label="Refund",
        description="A refund was processed on the account.",
        operation="create",
        category="payments",
        groups=(CORE, ACCOUNT, REFUND, CONTACT),
        required=("refund.id",),
        samples={"account.balance": "0.00", "account.balance_due": "0.00"},
    ),
    EventTypeSpec(
        code="credit.processed",
        label="Credit Processed",
        description="A credit was processed on the account.",
        operation="create",
        category="payments",
        groups=(CORE, ACCOUNT, CREDIT, CONTACT),
        required=("credit.id",),
        samples={"account.balance": "219.00", "account.balance_due": "219.00"},
    ),
    EventTypeSpec(
        code="payment.processed",
        label="Payment Processed",
        description="An automatic payment was processed successfully.",
        operation="create",
        category="payments",
        groups=(CORE, ACCOUNT, PAYMENT, CONTACT),
        required=("payment.id",),
        only={
            "payment.is_automatic": Only(
                value=True,
                remedy="payment.processed is for automatic payments only; manual payments are not of this "
                "type. Publish a manual payment under an event type of your own.",
            )
        },
        samples={"account.balance": "0.00", "account.balance_due": "0.00"},
    ),
    EventTypeSpec(
        code="payment.failed",
        label="Payment Processing Error",
        description="An automatic payment failed during processing.",
        operation="create",
        category="payments",
        groups=(CORE, ACCOUNT, PAYMENT, PAYMENT_ERROR, CONTACT),
        required=("payment.id",),
    ),
)
