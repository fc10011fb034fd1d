"""The judgement over a run: its counts as one JSON object, and each fault in a sentence."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .expected import Expected
from .hooks import Callout, disorder
from .mailbox import Letterhead, incomplete
from .posting import Posted
from .tally import Tally


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
    shown: Callable[[str], Iterable[str]],
    seconds: float,
) -> Verdict:
    """Judge a run that is over; `callouts` are all that came, `refusals` what the receiver sent away.

    `letterheads` are by event type, and `shown` names the values that a mail about it must show.
    """
    faults = [
        f"{each.type} was not taken: {each.status or 'no answer'} {each.problem}"
        for each in posted
        if each.problem
    ]
    stuck = {result.posted[event_id].type: why for event_id, why in result.known.quarantined.items()}
    for row in result.rows.values():
        if unposted := row.wanted - len(row.statuses):
            faults.append(f"{row.type} was not posted {unposted} times: the run ended before.")
        if row.waiting:
            faults.append(f"{row.type}: {row.waiting} events have not become deliveries yet.")
        elif row.type in stuck:
            faults.append(f"{row.type} could not become deliveries: {stuck[row.type]}")
        elif row.statuses and not (row.webhooks_expected and row.mails_expected):
            faults.append(f"{row.type}: no subscription of the demo makes webhooks and mails of it.")
    reached = {delivery.event_id for delivery in result.known.deliveries}
    lost = sum(1 for event_id in result.posted if event_id not in reached)
    for delivery in result.known.deliveries:
        arrived = delivery.id in (result.mails if delivery.is_mail else result.callouts)
        if not arrived or not delivery.is_delivered:
            lost += not arrived
            faults.append(_missing(delivery, result.posted[delivery.event_id], arrived=arrived))
    faults += _incomplete_mails(result, letterheads, shown)
    disorders = [*disorder(callouts), *_disordered_lanes(result)]
    if not _lanes(result):
        disorders.append("Nothing arrived in a lane: is the queue billing still in order?")
    faults += [*disorders, *(f"The receiver refused a callout: {refusal}" for refusal in refusals)]
    duplicates = sum(len(came) - 1 for came in result.callouts.values())
    duplicates += sum(len(came) - 1 for came in result.mails.values())
    if duplicates:
        faults.append(f"{duplicates} callouts or mails came again after they had been taken.")
    ours = {delivery.id for delivery in result.known.deliveries}
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


def _incomplete_mails(
    result: Tally, letterheads: Mapping[str, Letterhead], shown: Callable[[str], Iterable[str]]
) -> list[str]:
    faults = []
    for delivery in result.known.deliveries:
        if delivery.id not in result.mails:
            continue
        event = result.posted[delivery.event_id]
        found = incomplete(
            result.mails[delivery.id][0],
            letterhead=letterheads[event.type],
            recipient=delivery.recipient,
            values=[_value(event.data, token) for token in shown(event.type)],
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
    for delivery in result.known.deliveries:
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
    for delivery in result.known.deliveries:
        for callout in result.callouts.get(delivery.id, [])[:1]:
            if callout.sequence != delivery.sequence:
                said = callout.sequence if callout.sequence is not None else "nothing"
                faults.append(f"{delivery.id} says number {said}, the database {delivery.sequence}.")
    return faults
