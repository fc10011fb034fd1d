"""Event types about invoices."""

from .groups import ACCOUNT, CONTACT, CORE
from .types import EventTypeSpec, Kind, group, token

INVOICE = group(
    "invoice",
    token("invoice.id", Kind.STRING, "50042", "Identifies the invoice in the billing system."),
    token("invoice.number", Kind.STRING, "INV-1042", "Number printed on the invoice."),
    token("invoice.date", Kind.DATE, "2026-11-22", "Date of the invoice."),
    token("invoice.due_date", Kind.DATE, "2026-12-22", "Day by which it has to be paid."),
    token("invoice.terms", Kind.STRING, "Net 30", "Payment terms."),
    token("invoice.period_start", Kind.DATE, "2026-10-22", "First day of the invoiced period."),
    token("invoice.period_end", Kind.DATE, "2026-11-21", "Last day of the invoiced period."),
    token(
        "invoice.currency",
        Kind.STRING,
        "CAD",
        "Currency of every amount on the invoice, as an ISO 4217 code.",
    ),
    token("invoice.subtotal", Kind.DECIMAL, "220.35", "Amount before tax, in the invoice's currency."),
    token("invoice.tax", Kind.DECIMAL, "28.65", "Tax, in the invoice's currency."),
    token("invoice.total", Kind.DECIMAL, "249.00", "Amount with tax, in the invoice's currency."),
    token("invoice.paid", Kind.DECIMAL, "0.00", "What has been paid of it, in the invoice's currency."),
    token("invoice.balance", Kind.DECIMAL, "249.00", "What is still to be paid, in the invoice's currency."),
    token("invoice.line_count", Kind.INTEGER, "7", "How many lines the invoice has."),
    token(
        "invoice.pdf_url",
        Kind.STRING,
        "https://billing.example.com/invoices/INV-1042.pdf",
        "Where the invoice can be downloaded as a PDF.",
    ),
    token("invoice.bill_run_id", Kind.STRING, "88", "Identifies the bill run that made it, if one did."),
)

DELIVERY = (
    token(
        "delivery.method",
        Kind.STRING,
        "email",
        "How the invoice was delivered: email, print or portal.",
        choices=("email", "print", "portal"),
    ),
    token(
        "delivery.delivered_at",
        Kind.DATETIME,
        "2026-11-22T14:05:31Z",
        "When the invoice was delivered, in UTC.",
    ),
    token(
        "delivery.recipients",
        Kind.STRING,
        "billing@example.com",
        "To whom the invoice was delivered; several are separated by commas.",
    ),
    token(
        "delivery.document_url",
        Kind.STRING,
        "https://billing.example.com/documents/INV-1042",
        "Where the delivered document can be seen.",
    ),
    token("delivery.number", Kind.INTEGER, "1", "Which delivery of this invoice it was, from 1."),
)

EVENT_TYPES = (
    EventTypeSpec(
        code="invoice.posted",
        label="Invoice Posted",
        description="An invoice was posted.",
        operation="create",
        category="invoices",
        groups=(CORE, ACCOUNT, INVOICE, CONTACT),
        required=("invoice.id",),
    ),
    EventTypeSpec(
        code="invoice.overdue",
        label="Invoice Overdue",
        description="An invoice breached its payment terms: its due date passed with a balance left to pay.",
        operation="update",
        category="invoices",
        groups=(CORE, ACCOUNT, INVOICE, CONTACT),
        required=("invoice.id",),
        own=(
            token(
                "invoice.days_overdue", Kind.INTEGER, "1", "How many days the invoice is past its due date."
            ),
            token(
                "invoice.overdue_amount",
                Kind.DECIMAL,
                "249.00",
                "What is overdue of it, in the invoice's currency.",
            ),
            token("overdue.since", Kind.DATE, "2026-12-23", "First day on which the invoice was overdue."),
            token(
                "account.total_overdue",
                Kind.DECIMAL,
                "249.00",
                "What is overdue on the account in all, in its currency.",
            ),
            token(
                "account.overdue_invoice_count",
                Kind.INTEGER,
                "1",
                "How many of the account's invoices are overdue.",
            ),
        ),
        occurred_at="2026-12-23T05:05:00Z",
        source="schedule",
    ),
    EventTypeSpec(
        code="invoice.delivered",
        label="Invoice Delivery",
        description="An invoice was delivered.",
        operation="update",
        category="invoices",
        groups=(CORE, ACCOUNT, INVOICE, CONTACT),
        required=("invoice.id",),
        own=DELIVERY,
        occurred_at="2026-11-22T14:05:31Z",
    ),
    EventTypeSpec(
        code="invoice.delivery_offset",
        label="Invoice Delivery Date + xt",
        description="It is x days after an invoice was delivered, at time t; x and t are configurable.",
        operation="update",
        category="invoices",
        groups=(CORE, ACCOUNT, INVOICE, CONTACT),
        required=("invoice.id",),
        own=(
            *DELIVERY,
            token("offset.days", Kind.INTEGER, "5", "How many days after the delivery (x)."),
            token("offset.time", Kind.TIME, "09:00", "At which time of that day (t)."),
            token(
                "offset.timezone",
                Kind.STRING,
                "America/Toronto",
                "Time zone in which the time counts, as an IANA name.",
            ),
            token(
                "offset.due_at",
                Kind.DATETIME,
                "2026-11-27T14:00:00Z",
                "The moment that x and t come to, in UTC.",
            ),
            token("offset.label", Kind.STRING, "5 days after delivery at 09:00", "The offset in words."),
            token(
                "invoice.is_paid", Kind.BOOLEAN, "false", "Whether the invoice is paid in full, as at firing."
            ),
            token(
                "invoice.balance",
                Kind.DECIMAL,
                "249.00",
                "What is still to be paid, as at firing, in the invoice's currency.",
            ),
        ),
        occurred_at="2026-11-27T14:00:00Z",
        source="schedule",
    ),
)
