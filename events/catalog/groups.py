"""The groups of tokens that several event types share."""

from .types import Kind, group, token

CORE = group(
    "core",
    token(
        "event.id",
        Kind.STRING,
        "evt_019aabcd5e6f7a8b9c0d1e2f3a4b5c6d",
        "Identifies the event; the same in every delivery and every retry.",
    ),
    token("event.type", Kind.STRING, "invoice.posted", "Code of the event type."),
    token("event.label", Kind.STRING, "Invoice Posted", "Name of the event type, for people."),
    token("event.occurred_at", Kind.DATETIME, "2026-11-22T14:03:09Z", "When it happened, in UTC."),
    token("event.sequence", Kind.INTEGER, "1042", "Position in its lane, counted without gaps."),
    token("event.ordering_key", Kind.STRING, "account:1001", "What the event is kept in order with."),
    token(
        "event.source",
        Kind.STRING,
        "posted",
        "What produced the event: posted, object_change, threshold, schedule, inactivity or chained.",
        choices=("posted", "object_change", "threshold", "schedule", "inactivity", "chained"),
    ),
    token("owner.name", Kind.STRING, "Example Telecom", "Name of the company that sends the notification."),
    token("now.date", Kind.DATE, "2026-11-22", "Date at which the notification is written, in UTC."),
    token("now.time", Kind.TIME, "14:03", "Time of day at which the notification is written, in UTC."),
    token(
        "now.datetime",
        Kind.DATETIME,
        "2026-11-22T14:03:09Z",
        "Moment at which the notification is written, in UTC.",
    ),
    in_payload=False,
)

ACCOUNT = group(
    "account",
    token("account.id", Kind.STRING, "1001", "Identifies the account in the billing system."),
    token("account.name", Kind.STRING, "EXAMPLE-001", "Unique name of the account."),
    token(
        "account.display_name",
        Kind.STRING,
        "Example Manufacturing Ltd",
        "Name to show to people; need not be unique.",
    ),
    token("account.status", Kind.STRING, "Active", "Status of the account; after a change, the new one."),
    token("account.balance", Kind.DECIMAL, "249.00", "What the account owes in all, in its currency."),
    token(
        "account.balance_due",
        Kind.DECIMAL,
        "249.00",
        "What the account has to pay by its next due date, in its currency.",
    ),
    token(
        "account.bill_day",
        Kind.INTEGER,
        "22",
        "Day of the month on which the account is billed, 1 to 28.",
        minimum=1,
        maximum=28,
    ),
    token("account.currency", Kind.STRING, "CAD", "Currency of the account, as an ISO 4217 code."),
    token("account.timezone", Kind.STRING, "America/Toronto", "Time zone of the account, as an IANA name."),
    token("account.locale", Kind.STRING, "en-CA", "Language and region of the account, as a BCP 47 tag."),
    token(
        "account.parent_name",
        Kind.STRING,
        "EXAMPLE-GROUP",
        "Unique name of the account above it, if there is one.",
    ),
    token(
        "account.company.name", Kind.STRING, "Example Manufacturing Ltd", "Registered name of the company."
    ),
    token(
        "account.company.address1", Kind.STRING, "100 Example Street", "First line of the company's address."
    ),
    token("account.company.address2", Kind.STRING, "Suite 400", "Second line of the company's address."),
    token("account.company.city", Kind.STRING, "Toronto", "City of the company's address."),
    token("account.company.state", Kind.STRING, "ON", "State or province of the company's address."),
    token("account.company.postal_code", Kind.STRING, "M5V 0A1", "Postal code of the company's address."),
    token(
        "account.company.country", Kind.STRING, "CA", "Country of the company's address, as an ISO 3166 code."
    ),
)

CONTACT = group(
    "contact",
    token("contact.first_name", Kind.STRING, "Alex", "First name of the account's contact."),
    token("contact.last_name", Kind.STRING, "Example", "Last name of the account's contact."),
    token("contact.email", Kind.STRING, "billing@example.com", "Email address of the account's contact."),
    token("contact.type", Kind.STRING, "billing", "What the contact is for, such as billing or technical."),
    email_only=True,
)

PACKAGE = group(
    "package",
    token("package.id", Kind.STRING, "2001", "Identifies the account's package in the billing system."),
    token("package.name", Kind.STRING, "IoT 100 MB", "Name of the package."),
    token("package.code", Kind.STRING, "IOT-100MB", "Code of the package in the product catalog."),
    token("package.frequency", Kind.STRING, "monthly", "How often the package is charged."),
    token("package.status", Kind.STRING, "Active", "Status of the package."),
    token("package.quantity", Kind.INTEGER, "1", "How many of the package the account has."),
    token("package.start_date", Kind.DATE, "2026-03-01", "First day of the package."),
    token("package.end_date", Kind.DATE, "2027-02-28", "Last day of the package, if it has one."),
)

CORE_STATES = ("prospect", "active", "suspended", "canceled")

SERVICE = group(
    "service",
    token("service.id", Kind.STRING, "4001", "Identifies the service in the billing system."),
    token("service.name", Kind.STRING, "SIM Data", "Name of the service."),
    token("service.type", Kind.STRING, "iot_sim", "Type of the service."),
    token(
        "service.identifier",
        Kind.STRING,
        "8901990000000000017",
        "What usage names the service by, such as an ICCID or a phone number.",
    ),
    token("service.state", Kind.STRING, "Active", "State of the service, as the billing system names it."),
    token(
        "service.core_state",
        Kind.STRING,
        "active",
        "Which of the four core states that is: prospect, active, suspended or canceled.",
        choices=CORE_STATES,
    ),
    token("service.activated_on", Kind.DATE, "2026-03-01", "Day on which the service was first activated."),
)
