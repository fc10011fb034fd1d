"""How much may be fetched for each leased channel now: its pace, its rate, and its circuit decide."""

from collections import defaultdict
from collections.abc import Mapping

from . import ration
from .breaker import slow_start
from .channels import share
from .circuits import give_back_probe, take_probes
from .claim import Lease
from .destinations import Directory, Sender, Unusable
from .pace import Paces
from .pause import pause, rest

# A rate limit that is used up rests the channel, at least so long: tokens then come several at a time.
_SHORTEST_REST = 0.1  # seconds


def find_room(
    leases: Mapping[int, Lease],
    directory: Directory,
    paces: Paces,
    *,
    room: int,
    ahead: int,
    depth: int,
    careful_slots: int,
) -> dict[int, Sender]:
    """Set room and depth of the leases to fetch for, longest unserved first; return their senders.

    `room` is how many runs there is room for in all, `ahead` how many of them may be lined up behind others,
    `depth` how many deliveries there may be in each, and `careful_slots` how many runs may be for destinations
    that are not known to be fast.
    """
    asking = [lease for lease in leases.values() if lease.may_have_work and not lease.is_over]
    directory.refresh({lease.destination for lease in leases.values()})
    careful = careful_slots - paces.careful()
    may_probe = [
        lease
        for lease in asking
        if lease.is_open and not lease.probes and not lease.runs and paces.of(lease.destination).room()
    ]
    # A probe that is taken is sent: nobody else sends one meanwhile.
    if probing := may_probe[: max(0, min(room, careful))]:
        take_probes(probing)
    given: defaultdict[int, int] = defaultdict(int)  # in this look, by circuit
    senders: dict[int, Sender] = {}
    rated: list[Lease] = []
    for lease in sorted(asking, key=lambda lease: lease.served_at):
        pace = paces.of(lease.destination)
        wanted = min(room, pace.room() - given[lease.circuit_id])
        if not pace.is_fast:
            wanted = min(wanted, careful)
        lines_up = ahead > 0 and pace.is_fast and not lease.is_open
        if (wanted <= 0 and not lines_up) or lease.is_over or (lease.is_open and not lease.probes):
            continue
        try:
            sender = directory.sender(*lease.destination)
        except Unusable as fault:
            lease.is_paused = True
            pause(lease, str(fault))
            continue
        most = slow_start(sender.max_in_flight, lease.seconds_since_closed)
        left = most - pace.under_way - given[lease.circuit_id]
        lease.is_single = most == 1
        lease.room = max(0, min(wanted, share(most, lease.shard) - lease.runs, left))
        lease.depth = depth
        lease.ahead = 0
        if lines_up and most == sender.max_in_flight and _is_steady(lease, sender):
            # No more than there are to follow, and not one at a time.
            followed, waiting = lease.runs + lease.room, len(lease.followers)
            lease.ahead = min(ahead, room - lease.room, followed - waiting) if 2 * waiting <= followed else 0
            lease.room += lease.ahead
            ahead -= lease.ahead
        if lease.probes:
            lease.room, lease.depth = min(lease.room, 1), 1
        if lease.room <= 0:
            continue
        room -= lease.room
        careful -= 0 if pace.is_fast else lease.room
        given[lease.circuit_id] += lease.room - lease.ahead
        senders[lease.channel_id] = sender
        if lease.has_backlog or sender.rate_per_minute:
            rated.append(lease)
    if rated:
        _ration(rated, senders)
    return senders


def _is_steady(lease: Lease, sender: Sender) -> bool:
    """Whether nothing but the number of its sends at once keeps the destination from getting more."""
    return not (
        lease.is_single
        or lease.is_ailing
        or lease.has_backlog
        or sender.rate_per_minute
        # After a crash it would hold what had not even begun.
        or sender.holds_unknown
    )


def _ration(rated: list[Lease], senders: dict[int, Sender]) -> None:
    """Cut what is fetched for these leases to what their rates allow now."""
    wanted: defaultdict[int, int] = defaultdict(int)
    for lease in rated:
        wanted[lease.circuit_id] += lease.room * lease.depth
    granted = ration.take(wanted)
    left = {circuit: tokens for circuit, (tokens, _) in granted.items()}
    for lease in rated:
        tokens = left[lease.circuit_id]
        if not tokens:
            del senders[lease.channel_id]
            several, wait = granted[lease.circuit_id]
            # Neither what is under way nor the channel that just got the tokens is to stop for this one.
            if not several and not lease.runs:
                if lease.probes:
                    give_back_probe(lease)
                lease.is_paused = True
                rest(lease, max(_SHORTEST_REST, wait), "rate")
            continue
        lease.room = min(lease.room, tokens)
        lease.depth = min(lease.depth, tokens // lease.room)
        lease.tokens = lease.room * lease.depth
        left[lease.circuit_id] -= lease.tokens
    unused = {circuit: tokens for circuit, tokens in left.items() if tokens}
    if unused:
        ration.give_back(unused)
