"""The demo's emails about bill runs, accounts, services and usage."""

from .letters import OPERATIONS, Letter

_ACCOUNT = ("Account", "{{ account.display_name }} ({{ account.name }})")
_SERVICE = ("Service", "{{ service.name }}, {{ service.identifier }}")
_LONG = '"%-d %B %Y"'
_RUN = (
    ("Bill run", "{{ bill_run.name }} ({{ bill_run.bill_group }})"),
    (
        "Period",
        f"{{{{ bill_run.period_start | date: {_LONG} }}}} to {{{{ bill_run.period_end | date: {_LONG} }}}}",
    ),
)

OPERATIONS_LETTERS = (
    Letter(
        event_type="bill_run.started",
        name="Bill run started",
        subject="Bill run {{ bill_run.name }} has started",
        opening="A bill run has started.",
        facts=(*_RUN, ("Accounts", "{{ bill_run.accounts_expected | number }} expected")),
        shows=("bill_run.name", "bill_run.bill_group"),
        to_customer=False,
        groups=("Billing operations",),
        subscriber="Revenue operations",
        profile=OPERATIONS,
    ),
    Letter(
        event_type="bill_run.completed",
        name="Bill run completed",
        subject="Bill run {{ bill_run.name }}: {{ bill_run.invoices_created | number }} invoices"
        "{% if bill_run.accounts_failed > 0 %}, {{ bill_run.accounts_failed }} accounts failed{% endif %}",
        opening="A bill run has ended"
        "{% if bill_run.accounts_failed > 0 %}, and some accounts need your attention{% endif %}.",
        facts=(
            *_RUN,
            ("Processed", "{{ bill_run.accounts_processed | number }} accounts"),
            ("Failed", "{{ bill_run.accounts_failed | number }} accounts"),
            (
                "Invoiced",
                "{% for total in bill_run.totals %}{{ total.amount | money: total.currency }}"
                "{% unless forloop.last %}, {% endunless %}{% endfor %}",
            ),
            ("Errors", '{{ bill_run.error_summary | default: "none" }}'),
        ),
        shows=("bill_run.name", "bill_run.accounts_failed", "bill_run.error_summary"),
        to_customer=False,
        groups=("Billing operations",),
        addresses=("finance@example.com",),
        subscriber="Revenue operations",
        profile=OPERATIONS,
    ),
    Letter(
        event_type="account.status_changed",
        name="Account status changed",
        subject="Your account is now {{ status.current | downcase }}",
        opening="the status of your account {{ account.name }} has changed.",
        facts=(
            ("Before", "{{ status.previous }}"),
            ("Now", "{{ status.current }}"),
            ("Reason", "{{ status.reason }}"),
        ),
        shows=("account.name", "status.current", "status.reason"),
    ),
    Letter(
        event_type="account.cancelled",
        name="Account cancelled",
        subject="{{ account.display_name }} has been cancelled",
        opening="we confirm the cancellation of your account {{ account.name }}.",
        facts=(
            ("Last day", f"{{{{ cancellation.effective_date | date: {_LONG} }}}}"),
            ("Final balance", "{{ cancellation.final_balance | money: account.currency }}"),
            ("Open invoices", "{{ cancellation.open_invoice_count }}"),
        ),
        closing="We are sorry to see you go.",
        shows=("account.name", "cancellation.final_balance", "contact.first_name"),
        users=("care-lead",),
    ),
    Letter(
        event_type="package.cancelled",
        name="Package cancelled",
        subject="{{ package.name }} has been cancelled",
        opening="we have cancelled the package {{ package.name }} of {{ account.display_name }}.",
        facts=(
            ("Last day", f"{{{{ cancellation.effective_date | date: {_LONG} }}}}"),
            ("Services ended", "{{ cancellation.services_ended }}"),
            ("Fee", "{{ cancellation.termination_fee | money: account.currency }}"),
            ("Replaced by", '{{ cancellation.replaced_by | default: "nothing" }}'),
        ),
        shows=("package.name", "account.display_name", "cancellation.termination_fee"),
    ),
    Letter(
        event_type="contract.under_committed",
        name="Contract under commit",
        subject="{{ account.display_name }} missed {{ tier.name }} by {{ tier.shortfall_percent }} %",
        opening="A commitment period has closed below what was committed to.",
        facts=(
            _ACCOUNT,
            ("Contract", "{{ contract.name }}"),
            ("Committed", "{{ tier.committed | number }} {{ tier.unit }}"),
            ("Reached", "{{ tier.actual | number }} {{ tier.unit }}"),
            ("Shortfall", "{{ tier.shortfall | number }} {{ tier.unit }}"),
            ("Charged", "{{ penalty.amount | money: account.currency }}"),
        ),
        shows=("contract.name", "account.display_name", "tier.shortfall", "penalty.amount"),
        to_customer=False,
        users=("care-lead",),
        subscriber="Revenue operations",
    ),
    Letter(
        event_type="service.state_transitioned",
        name="Service state changed",
        subject="{{ service.name }} is now {{ transition.to_state | downcase }}",
        opening="one of your services has changed.",
        facts=(_SERVICE, ("Before", "{{ transition.from_state }}"), ("Now", "{{ transition.to_state }}")),
        shows=("service.identifier", "transition.to_state", "contact.first_name"),
    ),
    Letter(
        event_type="sim.dormant",
        name="Dormant SIM",
        subject="SIM {{ sim.iccid }} has been silent for {{ dormancy.days }} days",
        opening="A SIM costs {{ sim.monthly_charge | money: account.currency }} a month and is not used.",
        facts=(
            _ACCOUNT,
            ("ICCID", "{{ sim.iccid }}"),
            ("Number", "{{ sim.msisdn }}"),
            ("Plan", "{{ sim.plan }}"),
            (
                "Last used",
                "{% if usage.never_used %}never{% else %}"
                f"{{{{ usage.last_at | date: {_LONG}, account.timezone }}}}{{% endif %}}",
            ),
        ),
        shows=("sim.iccid", "sim.msisdn", "account.display_name", "sim.monthly_charge"),
        to_customer=False,
        groups=("Network operations",),
        profile=OPERATIONS,
    ),
    Letter(
        event_type="usage.threshold_exceeded",
        name="Usage threshold exceeded",
        subject="{{ bucket.name }} of {{ service.identifier }}: {{ usage.percent }} % used",
        opening="a bucket of {{ account.display_name }} has reached {{ tier.percent_threshold }} % of its tier.",
        facts=(
            _SERVICE,
            ("Bucket", "{{ bucket.name }}"),
            ("Used", "{{ usage.current }} of {{ tier.size }} {{ bucket.unit }}"),
            ("From here on", "{{ bucket.next_tier_rate | money: account.currency }} a {{ bucket.unit }}"),
        ),
        shows=("service.identifier", "usage.current", "account.display_name"),
        groups=("Network operations",),
        profile=OPERATIONS,
    ),
)
