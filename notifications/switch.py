"""Switching endpoints and SMTP profiles off and on, as an operator does: audited, and what waits is kept.

Rows are locked as workers lock them, channels first, so that neither waits for the other in a circle.
"""

from collections.abc import Iterable
from typing import TypeVar

from django.db import transaction

from smtpprofiles.models import SmtpProfile

from . import backlog
from .audit import Actor, record
from .backlog import Backlog
from .models import Channel, Circuit, Endpoint

D = TypeVar("D", Endpoint, SmtpProfile)

NOUNS = {Endpoint: ("endpoint", "endpoint"), SmtpProfile: ("smtp_profile", "smtp profile")}


@transaction.atomic
def pause(model: type[D], ids: Iterable[int], actor: Actor, reason: str = "") -> list[D]:
    """Use these no more until they are resumed; return those that were in use."""
    chosen = [one for one in _locked(model, ids) if one.is_active]
    for one in chosen:
        one.is_active = False
        # One by one: saving stops its channels.
        one.save(update_fields=["is_active", "updated_at"])
    _note(chosen, "pause", actor, reason)
    return chosen


@transaction.atomic
def resume(
    model: type[D], ids: Iterable[int], actor: Actor, *, per_minute: int | None = None, reason: str = ""
) -> list[tuple[D, Backlog]]:
    """Use these again; what waits goes first, in order, at `per_minute` each if that is given.

    Returns those that were not in use, with what waited for each.
    """
    chosen = [one for one in _locked(model, ids) if not one.is_open]
    found = [(one, backlog.resume(one, per_minute=per_minute)) for one in chosen]
    if per_minute:
        reason = f"At {per_minute:,} a minute. {reason}".strip()
    _note(chosen, "resume", actor, reason)
    return found


def _locked(model: type[D], ids: Iterable[int]) -> list[D]:
    wanted, column = list(ids), "endpoint" if model is Endpoint else "profile"
    secret = "secret" if model is Endpoint else "password"
    for rows in (Channel.objects.all(), Circuit.objects.all()):
        list(rows.filter(**{f"{column}__in": wanted}).select_for_update().order_by("pk").values_list("pk"))
    found = model._default_manager.filter(pk__in=wanted).order_by("pk").select_for_update()
    return list(found.defer(secret))


def _note(chosen: list[D], verb: str, actor: Actor, reason: str) -> None:
    for one in chosen:
        noun, subject = NOUNS[type(one)]
        record(actor, f"{noun}.{verb}", [f"{subject} {one.pk}"], reason)
