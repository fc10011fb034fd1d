"""The console's pages by what people do with them, in the order in which they come to it."""

from collections.abc import Iterable
from typing import Any

# By object name, as Django's list of pages has it; what is not named here follows under "More".
GROUPS = (
    ("Send", ("Subscription", "Endpoint", "Queue", "Subscriber")),
    (
        "Mail",
        (
            "EmailTemplate",
            "EmailLayout",
            "EmailPartial",
            "SmtpProfile",
            "ProfileRule",
            "FeedbackAddress",
        ),
    ),
    (
        "Events & triggers",
        ("EventType", "Trigger", "ScheduledFiring", "LedgerEntry", "ObjectKind"),
    ),
    (
        "Support",
        (
            "Delivery",
            "Event",
            "BillingObject",
            "Change",
            "Suppression",
            "OptOut",
            "Misfit",
            "DeliveryFeedback",
            "QuarantinedEvent",
            "Attempt",
            "Lane",
            "Channel",
            "Runner",
        ),
    ),
    ("Access", ("ApiKey", "Grant", "User", "Group", "AuditEntry")),
)
_MORE = "More"
_MACHINERY = "Machinery"
# Machinery that only superusers look at.
INNER = ("axes", "django_q")


def grouped(apps: Iterable[dict[str, Any]], *, home: str) -> list[dict[str, Any]]:
    """Return the pages of Django's apps as groups of the same form, those without pages left out."""
    place = {name: title for title, names in GROUPS for name in names}
    order = {name: number for _, names in GROUPS for number, name in enumerate(names)}
    found: dict[str, list[dict[str, Any]]] = {
        title: [] for title in (*(t for t, _ in GROUPS), _MORE, _MACHINERY)
    }
    for app in apps:
        for page in app["models"]:
            inner = _MACHINERY if app["app_label"] in INNER else _MORE
            found[place.get(page["object_name"], inner)].append(page)
    return [
        {
            "name": title,
            "app_label": (label := title.lower().replace(" & ", "-")),
            # Never part of a page's address, so that no group is taken for the current one.
            "app_url": f"{home}#{label}",
            "has_module_perms": True,
            "models": sorted(pages, key=lambda page: order.get(page["object_name"], 0)),
        }
        for title, pages in found.items()
        if pages
    ]
