"""Switching endpoints and SMTP profiles off and on, as an operator does: audited, and what waits is kept.

Their own rows are locked first, as whoever edits them does, then channels and circuits as everywhere, each by
id: so nobody waits for another in a circle.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import transaction

from smtpprofiles.models import SmtpProfile

from . import backlog
from .audit import Actor, record
from .backlog import Backlog
from .models import Channel, Circuit, Endpoint

D = TypeVar("D", Endpoint, SmtpProfile)

NOUNS = {Endpoint: ("endpoint", "endpoint"), SmtpProfile: ("smtp_profile", "smtp profile")}
EDITED = "By an edit."


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


@contextmanager
def edited(one: D, actor: Actor) -> Iterator[None]:
    """Save it within: should that stop it or let it go on, it is noted, and what waits goes as after `resume`."""
    with transaction.atomic():
        [stored] = _rows(type(one), [one.pk])
        yield
        if one.is_open and not stored.is_open:
            backlog.let_go(one)
            _note([one], "resume", actor, EDITED)
        elif stored.is_open and not one.is_open:
            _note([one], "pause", actor, EDITED)


def _locked(model: type[D], ids: Iterable[int]) -> list[D]:
    wanted, column = list(ids), "endpoint" if model is Endpoint else "profile"
    found = _rows(model, wanted)
    for rows in (Channel.objects.all(), Circuit.objects.all()):
        list(rows.filter(**{f"{column}__in": wanted}).select_for_update().order_by("pk").values_list("pk"))
    return found


def _rows(model: type[D], ids: Iterable[int]) -> list[D]:
    secrets = Endpoint.BULKY if model is Endpoint else SmtpProfile.secrets()
    found = model._default_manager.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    return list(found.defer(*secrets))


def _note(chosen: list[D], verb: str, actor: Actor, reason: str) -> None:
    for one in chosen:
        noun, subject = NOUNS[type(one)]
        record(actor, f"{noun}.{verb}", [f"{subject} {one.pk}"], reason)
