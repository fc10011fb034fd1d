"""The judgement over a run: its counts as one JSON object, and each fault in a sentence."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .configuration import LETTERS
from .expected import Expected
from .hooks import Callout, disorder
from .mailbox import Letterhead, incomplete
from .posting import Posted
from .tally import Tally

_LETTERS = {letter.event_type: letter for letter in LETTERS}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `--check` reports: `summary` has the keys that docs and scripts rely on."""

    summary: Mapping[str, int | float | bool]
    faults: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether everything arrived, whole, once and in order."""
        return not self.faults


NOTHING = Verdict(
    summary={
        "events": 0,
        "webhooks_delivered": 0,
        "webhooks_verified": 0,
        "emails_received": 0,
        "lanes_in_order": False,
        "lost": 0,
        "duplicates": 0,
        "seconds": 0.0,
    },
    faults=("The demo did not begin.",),
)


def judge(
    result: Tally,
    *,
    posted: Iterable[Posted],
    callouts: list[Callout],
    refusals: Iterable[str],
    letterheads: Mapping[str, Letterhead],
    seconds: float,
) -> Verdict:
    """Judge a run that is over; `callouts` are all that came, `refusals` what the receiver sent away."""
    faults = [
        f"{each.type} was not taken: {each.status or 'no answer'} {each.problem}"
        for each in posted
        if each.problem
    ]
    for row in result.rows.values():
        if unposted := row.wanted - len(row.statuses):
            faults.append(f"{row.type} was not posted {unposted} times: the run ended before.")
        if row.waiting:
            faults.append(f"{row.type}: {row.waiting} events have not become deliveries yet.")
        elif row.statuses and not (row.webhooks_expected and row.mails_expected):
            faults.append(f"{row.type}: no subscription of the demo makes webhooks and mails of it.")
    reached = {delivery.event_id for delivery in result.deliveries}
    lost = sum(1 for event_id in result.posted if event_id not in reached)
    for delivery in result.deliveries:
        arrived = delivery.id in (result.mails if delivery.is_mail else result.callouts)
        if not arrived or not delivery.is_delivered:
            lost += not arrived
            faults.append(_missing(delivery, result.posted[delivery.event_id], arrived=arrived))
    faults += _incomplete_mails(result, letterheads)
    disorders = [*disorder(callouts), *_disordered_lanes(result)]
    if not _lanes(result):
        disorders.append("Nothing arrived in a lane: is the queue billing still in order?")
    faults += [*disorders, *(f"The receiver refused a callout: {refusal}" for refusal in refusals)]
    duplicates = sum(len(came) - 1 for came in result.callouts.values())
    duplicates += sum(len(came) - 1 for came in result.mails.values())
    if duplicates:
        faults.append(f"{duplicates} callouts or mails came again after they had been taken.")
    ours = {delivery.id for delivery in result.deliveries}
    summary = {
        "events": sum(row.statuses == [201] * row.wanted for row in result.rows.values()),
        "webhooks_delivered": len({callout.id for callout in callouts} & ours),
        "webhooks_verified": len(result.callouts),
        "emails_received": len(result.mails),
        "lanes_in_order": not disorders,
        "lost": lost,
        "duplicates": duplicates,
        "seconds": round(seconds, 1),
    }
    return Verdict(summary=summary, faults=tuple(faults))


def _missing(delivery: Expected, event: Posted, *, arrived: bool) -> str:
    to = delivery.recipient or f"“{delivery.subscription}”"
    came = "arrived, and the database does not know it yet" if arrived else "did not arrive"
    why = f": {delivery.error}" if delivery.error else ""
    return f"{event.type} to {to} {came}; {delivery.id} is {delivery.status}{why}"


def _incomplete_mails(result: Tally, letterheads: Mapping[str, Letterhead]) -> list[str]:
    faults = []
    for delivery in result.deliveries:
        if delivery.id not in result.mails:
            continue
        event = result.posted[delivery.event_id]
        letter = _LETTERS[event.type]
        found = incomplete(
            result.mails[delivery.id][0],
            letterhead=letterheads[letter.profile],
            recipient=delivery.recipient,
            values=[_value(event.data, token) for token in letter.shows],
        )
        faults += [f"The mail {delivery.id} about {event.type}: {fault}" for fault in found]
    return faults


def _value(data: Mapping[str, Any], token: str) -> str:
    value: Any = data
    for name in token.split("."):
        value = value[name]
    return str(value)


def _lanes(result: Tally) -> dict[int, list[tuple[int, int]]]:
    """Return the database's number and the place of arrival of each delivery in a lane, by lane."""
    lanes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for delivery in result.deliveries:
        came = [callout.number for callout in result.callouts.get(delivery.id, [])]
        came += [mail.number for mail in result.mails.get(delivery.id, [])]
        if delivery.lane is not None and delivery.sequence is not None and came:
            lanes[delivery.lane].append((delivery.sequence, came[0]))
    return lanes


def _disordered_lanes(result: Tally) -> list[str]:
    """Mails carry no number of their own, so theirs is the database's."""
    faults = []
    for lane, places in _lanes(result).items():
        arrivals = [arrival for _, arrival in sorted(places)]
        if arrivals != sorted(arrivals):
            faults.append(f"Lane {lane} of the database arrived in another order than its numbers.")
    for delivery in result.deliveries:
        for callout in result.callouts.get(delivery.id, [])[:1]:
            if callout.sequence != delivery.sequence:
                said = callout.sequence if callout.sequence is not None else "nothing"
                faults.append(f"{delivery.id} says number {said}, the database {delivery.sequence}.")
    return faults
