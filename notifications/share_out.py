"""Dividing what was fetched for a channel into runs: as many at once as there is room for, and no more."""

from collections.abc import Mapping, Sequence

from .claim import Lease
from .sending import Item

Queues = Mapping[tuple[int, int | None], list[Item]]  # by channel and lane (None: in any order)


def share_out(queues: Queues, leases: Mapping[int, Lease]) -> tuple[dict[int, list[list[Item]]], list[Item]]:
    """Return the runs of each channel, and what goes beyond the tokens of its rate.

    A lane is never divided: its deliveries go one after another. Short lanes share a run.
    """
    units: dict[int, list[Sequence[Item]]] = {}
    for (channel_id, lane_id), items in queues.items():
        if items:
            units.setdefault(channel_id, []).extend([items] if lane_id else [[item] for item in items])
    shares: dict[int, list[list[Item]]] = {}
    beyond: list[Item] = []
    for channel_id, found in units.items():
        lease = leases[channel_id]
        at_once = lease.room - lease.ahead
        room = lease.room if sum(map(len, found)) > at_once * lease.depth else at_once
        given = _up_to(lease.tokens, found, beyond) if lease.tokens else found
        given.sort(key=len, reverse=True)
        if len(given[0]) == 1:
            runs = [[unit[0] for unit in given[start::room]] for start in range(min(room, len(given)))]
        else:
            runs = [[] for _ in range(min(room, len(given)))]
            for unit in given:
                min(runs, key=len).extend(unit)
        shares[channel_id] = runs
    return shares, beyond


def _up_to(tokens: int, units: list[Sequence[Item]], beyond: list[Item]) -> list[Sequence[Item]]:
    """Return the first so many deliveries of these; add the others to `beyond`."""
    kept = []
    for unit in units:
        if tokens:
            kept.append(unit[:tokens])
        beyond.extend(unit[tokens:])
        tokens = max(0, tokens - len(unit))
    return kept
