"""The demo's emails about invoices and money."""

from .letters import Letter

_LONG = '"%-d %B %Y"'
_TOTAL = ("Total", "{{ invoice.total | money: invoice.currency }}")
_NUMBER = ("Invoice", "{{ invoice.number }}")
_DUE = ("Due", f"{{{{ invoice.due_date | date: {_LONG} }}}}")
_PAID_INVOICES = ("For", '{{ payment.invoice_numbers | join: ", " }}')

BILLING_LETTERS = (
    Letter(
        event_type="invoice.posted",
        name="Invoice posted",
        subject="Your invoice {{ invoice.number }} of {{ invoice.total | money: invoice.currency }}",
        opening="your new invoice for {{ account.display_name }} is ready.",
        facts=(
            _NUMBER,
            (
                "Period",
                f"{{{{ invoice.period_start | date: {_LONG} }}}} to {{{{ invoice.period_end | date: {_LONG} }}}}",
            ),
            ("Before tax", "{{ invoice.subtotal | money: invoice.currency }}"),
            ("Tax", "{{ invoice.tax | money: invoice.currency }}"),
            _TOTAL,
            _DUE,
        ),
        closing="Download it at {{ invoice.pdf_url }}.",
        shows=(
            "invoice.number",
            "invoice.total",
            "invoice.tax",
            "account.display_name",
            "contact.first_name",
        ),
    ),
    Letter(
        event_type="invoice.delivered",
        name="Invoice delivered",
        subject="Invoice {{ invoice.number }} was delivered to {{ account.display_name }}",
        opening="An invoice has left the house.",
        facts=(
            ("Account", "{{ account.display_name }} ({{ account.name }})"),
            _NUMBER,
            ("How", "{{ delivery.method }}, to {{ delivery.recipients }}"),
            ("When", '{{ delivery.delivered_at | date: "%-d %B %Y %H:%M", account.timezone }}'),
            ("Document", "{{ delivery.document_url }}"),
        ),
        shows=("invoice.number", "account.display_name", "delivery.document_url"),
        to_customer=False,
        addresses=("document-desk@example.com",),
    ),
    Letter(
        event_type="invoice.delivery_offset",
        name="Invoice reminder",
        subject="{% if invoice.is_paid %}Thank you for paying{% else %}A reminder of{% endif %} "
        "invoice {{ invoice.number }}",
        opening="we sent you invoice {{ invoice.number }} on "
        f"{{{{ delivery.delivered_at | date: {_LONG}, account.timezone }}}}. "
        "{% if invoice.is_paid %}It is paid: thank you.{% else %}It is still open.{% endif %}",
        facts=(_NUMBER, ("Open", "{{ invoice.balance | money: invoice.currency }}"), _DUE),
        closing="If your payment is on its way, please disregard this message.",
        shows=("invoice.number", "invoice.balance", "contact.first_name"),
    ),
    Letter(
        event_type="invoice.overdue",
        name="Invoice overdue",
        subject="Invoice {{ invoice.number }} is overdue",
        opening="invoice {{ invoice.number }} of {{ account.display_name }} has passed its due date.",
        facts=(
            ("Overdue", "{{ invoice.overdue_amount | money: invoice.currency }}"),
            ("Since", f"{{{{ overdue.since | date: {_LONG} }}}} ({{{{ invoice.days_overdue }}}} days)"),
            ("Terms", "{{ invoice.terms }}"),
        ),
        closing="Please pay now to keep your services active.",
        shows=("invoice.number", "invoice.overdue_amount", "account.display_name"),
        addresses=("collections@example.com",),
    ),
    Letter(
        event_type="payment.processed",
        name="Payment received",
        subject="We received your payment of {{ payment.amount | money: payment.currency }}",
        opening="thank you: your automatic payment went through.",
        facts=(
            ("Payment", "{{ payment.number }}"),
            ("Amount", "{{ payment.amount | money: payment.currency }}"),
            ("By", "{{ payment.method_mask }}"),
            _PAID_INVOICES,
        ),
        shows=("payment.number", "payment.amount", "payment.method_mask"),
    ),
    Letter(
        event_type="payment.failed",
        name="Payment failed",
        subject="Your payment of {{ payment.amount | money: payment.currency }} did not go through",
        opening="we could not collect your automatic payment. {{ error.message }}",
        facts=(
            ("Payment", "{{ payment.number }}"),
            ("Amount", "{{ payment.amount | money: payment.currency }}"),
            ("By", "{{ payment.method_mask }}"),
            _PAID_INVOICES,
            ("Attempt", "{{ attempt.count }} of {{ attempt.maximum }}"),
            ("Next attempt", f"{{{{ attempt.next_at | date: {_LONG}, account.timezone }}}}"),
        ),
        closing="{% if attempt.is_final %}This was the last attempt: please pay by another method."
        "{% else %}Please see that your card is in order before the next attempt.{% endif %}",
        shows=("payment.number", "payment.amount", "error.message"),
        groups=("Billing operations",),
    ),
    Letter(
        event_type="credit.processed",
        name="Credit note",
        subject="A credit of {{ credit.amount | money: credit.currency }} for {{ account.display_name }}",
        opening="we have credited the account of {{ account.display_name }}.",
        facts=(
            ("Credit note", "{{ credit.number }}"),
            ("Amount", "{{ credit.amount | money: credit.currency }}"),
            ("Used so far", "{{ credit.applied_amount | money: credit.currency }}"),
            ("Reason", "{{ credit.reason }}"),
        ),
        shows=("credit.number", "credit.amount", "account.display_name"),
    ),
    Letter(
        event_type="refund.processed",
        name="Refund",
        subject="Your refund of {{ refund.amount | money: refund.currency }}",
        opening="we have refunded {% if refund.is_partial %}a part of {% endif %}"
        "your payment {{ refund.original_payment_number }}.",
        facts=(
            ("Refund", "{{ refund.number }}"),
            ("Amount", "{{ refund.amount | money: refund.currency }}"),
            ("To", "{{ refund.method }}"),
            ("Reason", "{{ refund.reason }}"),
        ),
        shows=("refund.number", "refund.amount", "refund.reason"),
    ),
)
