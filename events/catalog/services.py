"""Event types about services and packages."""

from .groups import ACCOUNT, CONTACT, CORE, CORE_STATES, PACKAGE, SERVICE
from .types import EventTypeSpec, Kind, token

EVENT_TYPES = (
    EventTypeSpec(
        code="service.state_transitioned",
        label="Service State Transition",
        description="A service changed state, for example from Trial to Active or from Active to Suspended.",
        operation="update",
        category="services",
        groups=(CORE, ACCOUNT, PACKAGE, SERVICE, CONTACT),
        required=("service.id", "transition.to_state"),
        own=(
            token(
                "transition.from_state",
                Kind.STRING,
                "Trial",
                "State that the service left; empty for a new service.",
            ),
            token("transition.to_state", Kind.STRING, "Active", "State that the service entered."),
            token(
                "transition.from_core_state",
                Kind.STRING,
                "prospect",
                "Core state that the service left.",
                choices=CORE_STATES,
            ),
            token(
                "transition.to_core_state",
                Kind.STRING,
                "active",
                "Core state that the service entered.",
                choices=CORE_STATES,
            ),
            token(
                "transition.effective_at",
                Kind.DATETIME,
                "2026-11-22T14:03:09Z",
                "From when the new state counts, in UTC.",
            ),
            token("transition.reason", Kind.STRING, "Trial ended", "Why the service changed state."),
            token("transition.actor", Kind.STRING, "api:billing", "Who or what changed the state."),
        ),
        samples={"service.activated_on": "2026-11-22", "package.start_date": "2026-10-23"},
    ),
    EventTypeSpec(
        code="package.cancelled",
        label="Package Cancellation",
        description="A package was cancelled, or its cancellation took effect.",
        operation="delete",
        category="packages",
        groups=(CORE, ACCOUNT, PACKAGE, CONTACT),
        required=("package.id",),
        own=(
            token("cancellation.effective_date", Kind.DATE, "2026-11-22", "Last day of the package."),
            token(
                "cancellation.requested_at",
                Kind.DATETIME,
                "2026-11-08T16:20:00Z",
                "When the cancellation was asked for, in UTC.",
            ),
            token(
                "cancellation.reason",
                Kind.STRING,
                "Moved to a larger package",
                "Why the package was cancelled.",
            ),
            token("cancellation.requested_by", Kind.STRING, "customer", "Who asked for the cancellation."),
            token(
                "cancellation.kind",
                Kind.STRING,
                "effective",
                "Whether the cancellation was asked for (requested) or has taken effect (effective).",
                choices=("requested", "effective"),
            ),
            token(
                "cancellation.services_ended", Kind.INTEGER, "3", "How many services ended with the package."
            ),
            token(
                "cancellation.remaining_term_days",
                Kind.INTEGER,
                "98",
                "Days that were left of the agreed term.",
            ),
            token(
                "cancellation.termination_fee",
                Kind.DECIMAL,
                "120.00",
                "Fee for leaving early, in the account's currency.",
            ),
            token(
                "cancellation.replaced_by",
                Kind.STRING,
                "IoT 250 MB",
                "Name of the package that takes its place, if one does.",
            ),
        ),
        samples={"package.status": "Cancelled"},
    ),
)
