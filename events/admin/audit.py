"""Telling the app above what an operator did here; it keeps the audit log."""

from django.dispatch import Signal

# Sent inside the transaction of the action, with `actor` (a user), `action` (noun.verb),
# `subjects` (what it was done to, as text) and `reason`; of an edit also with `changes`: field, old and new.
operator_acted = Signal()

# Sent with `rows` that may be paused: who knows since when, by whom and why sets their `pause_note`.
pauses_asked = Signal()
