"""Event types about usage: too much of it, or none."""

from .groups import ACCOUNT, CONTACT, CORE, PACKAGE, SERVICE
from .types import EventTypeSpec, Kind, group, token

SIM = group(
    "sim",
    token("sim.iccid", Kind.STRING, "8901990000000000017", "Number of the SIM card itself."),
    token(
        "sim.imsi", Kind.STRING, "001010123456789", "Number of the SIM's subscription in the mobile network."
    ),
    token("sim.msisdn", Kind.STRING, "+15555550100", "Phone number of the SIM."),
    token("sim.imei", Kind.STRING, "490154203237518", "Number of the device that the SIM was last seen in."),
    token("sim.state", Kind.STRING, "Active", "State of the SIM."),
    token("sim.plan", Kind.STRING, "IoT 100 MB", "Plan that the SIM is on."),
    token(
        "sim.monthly_charge", Kind.DECIMAL, "4.00", "What the SIM costs a month, in the account's currency."
    ),
    token(
        "dormancy.threshold_days",
        Kind.INTEGER,
        "30",
        "After how many days without usage a SIM counts as dormant.",
    ),
    token("dormancy.days", Kind.INTEGER, "31", "For how many days the SIM has had no usage."),
    token(
        "dormancy.kind",
        Kind.STRING,
        "usage",
        "What has been absent: usage (no traffic) or network (not even seen by the network).",
        choices=("usage", "network"),
    ),
    token(
        "usage.last_at",
        Kind.DATETIME,
        "2026-10-22T05:12:44Z",
        "When the SIM was last used, in UTC; empty if never.",
    ),
    token("usage.last_kind", Kind.STRING, "data", "What it was last used for, such as data or sms."),
    token("usage.never_used", Kind.BOOLEAN, "false", "Whether the SIM has never been used at all."),
)

BUCKET = group(
    "bucket",
    token("bucket.id", Kind.STRING, "5001", "Identifies the bucket in the billing system."),
    token("bucket.name", Kind.STRING, "100 MB", "Name of the bucket."),
    token("bucket.unit", Kind.STRING, "MB", "Unit in which the bucket is measured."),
    token("bucket.period_start", Kind.DATE, "2026-10-22", "First day of the bucket's period."),
    token("bucket.period_end", Kind.DATE, "2026-11-21", "Last day of the bucket's period."),
    token(
        "bucket.next_tier_rate",
        Kind.DECIMAL,
        "0.02",
        "Price of a unit in the next tier, in the account's currency.",
    ),
    token("tier.number", Kind.INTEGER, "1", "Number of the bucket's tier, from 1."),
    token("tier.size", Kind.DECIMAL, "100", "Size of the tier, in the bucket's unit."),
    token(
        "tier.percent_threshold", Kind.DECIMAL, "100", "Threshold that was crossed, in per cent of the tier."
    ),
    token(
        "usage.previous",
        Kind.DECIMAL,
        "97.5",
        "Usage before the report that crossed it, in the bucket's unit.",
    ),
    token("usage.current", Kind.DECIMAL, "104.2", "Usage after it, in the bucket's unit."),
    token("usage.percent", Kind.DECIMAL, "104.2", "Usage after it, in per cent of the tier."),
    token("usage.remaining", Kind.DECIMAL, "0", "What is left of the tier, in the bucket's unit."),
    token(
        "usage.thresholds_crossed",
        Kind.LIST,
        "[100]",
        "Every threshold that the same report crossed, in per cent.",
    ),
)

EVENT_TYPES = (
    EventTypeSpec(
        code="usage.threshold_exceeded",
        label="Usage Threshold Exceeded",
        description="A tier of a bucket was used up, or used to a threshold that was set on it.",
        operation="update",
        category="usage",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, BUCKET, CONTACT),
        required=("bucket.id",),
        occurred_at="2026-11-19T18:44:02Z",
        source="threshold",
    ),
    EventTypeSpec(
        code="sim.dormant",
        label="Dormant SIM",
        description="A SIM is dormant: no usage has been associated with it for a number of days.",
        operation="update",
        category="usage",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, SIM, CONTACT),
        required=("sim.iccid",),
        occurred_at="2026-11-22T06:00:00Z",
        source="inactivity",
    ),
)
