"""Where the pages are of what audit entries are about."""

from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from notifications import subjects

# Of subjects that are no numbers: the list that finds them, by how they begin or by the action's kind.
_BY_PREFIX = {"dlv_": "notifications_delivery", "evt_": "events_event"}
_BY_KIND = {
    "suppression": "notifications_suppression",
    "api_key": "events_apikey",
    "emailtemplate": "notifications_emailtemplate",
    "optout": "notifications_optout",
}


def page_of(subject: str, action: str = "") -> str:
    """Return the URL of a subject's page, or of the list that finds it; empty where there is none."""
    kind, _, verb = action.partition(".")
    if found := subjects.parse(subject):
        if verb == "delete":
            return ""
        model, number = found
        try:
            return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[number])
        except NoReverseMatch:
            return ""
    page = next((page for start, page in _BY_PREFIX.items() if subject.startswith(start)), _BY_KIND.get(kind))
    # An opt-out is named with its subscription; its list finds the address.
    term = subject.partition(" from ")[0] if kind == "optout" else subject
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode({'q': term})}" if page else ""
