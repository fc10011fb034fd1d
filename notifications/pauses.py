"""Who paused something, since when and why, as the audit log has it."""

from collections.abc import Iterable
from typing import Any

from .diagnose import utc
from .models import AuditEntry

# What was resumed last was paused in some other way since, of which nothing is known.
_VERBS = ("pause", "resume")
_NOUNS = {
    "endpoint": "endpoint",
    "smtpprofile": "smtp_profile",
    "queue": "queue",
    "subscription": "subscription",
}


def annotate(rows: Iterable[Any]) -> None:
    """Set `pause_note` of those that a person paused: "since … by …: why", to follow "paused"; one query."""
    by_subject = {_subject(row): row for row in rows if is_paused(row)}
    for row in by_subject.values():
        row.pause_note = ""
    if not by_subject:
        return
    actions = [f"{noun}.{verb}" for noun in _NOUNS.values() for verb in _VERBS]
    newest = (
        AuditEntry.objects.filter(subject__in=by_subject, action__in=actions)
        .order_by("subject", "-id")
        .distinct("subject")
    )
    for entry in newest:
        if entry.action.endswith(".pause"):
            why = f": {entry.reason}" if entry.reason else ""
            by_subject[entry.subject].pause_note = f"since {utc(entry.created_at)} by {entry.actor_name}{why}"


def is_paused(row: Any) -> bool:
    """Tell whether a person paused an endpoint, SMTP profile, queue or subscription."""
    return bool(row.is_paused) if hasattr(row, "is_paused") else not row.is_active


def _subject(row: Any) -> str:
    noun = _NOUNS[row._meta.model_name].replace("_", " ")
    return f"{noun} {row.pk}"
