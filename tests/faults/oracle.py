"""The one judge of every fault test: it holds the receiver's ledger against the product's own records.

1. Lost: a published event without its deliveries, a number missing in a lane, or a delivery that is
   called delivered although the receiver never accepted it.
2. Out of order: n+1 first arrived before n was accepted, and n was not skipped, cancelled or dead.
3. Duplicates: arrivals after one that was accepted. Each needs its reason in the log: an attempt that
   ended in *unknown* or *crashed*; or the test names the delivery as one that may repeat.
4. Stuck: neither final, nor due, nor held for a named cause.
5. Unexplained: a line of the ledger without an attempt that accounts for it, or an attempt with an
   answer that the receiver never gave.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from tests.faults.ledger import Line
from tests.faults.records import Record, Records, read_records

_FINAL = {"delivered", "dead", "cancelled", "skipped", "digested", "suppressed"}
_PASSED = {"dead", "cancelled", "skipped"}  # its lane may go on without it
_MAYBE = {"unknown", "crashed"}  # the receiver may have it, so it is sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the oracle found. All but `duplicates` and `arrivals` are faults of the product."""

    arrivals: int
    duplicates: int  # arrivals after an accepted one, allowed or not
    lost: tuple[str, ...]
    out_of_order: tuple[str, ...]
    forbidden: tuple[str, ...]  # duplicates without a reason
    stuck: tuple[str, ...]
    unexplained: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Every fault, in words."""
        return self.lost + self.out_of_order + self.forbidden + self.stuck + self.unexplained

    @property
    def is_clean(self) -> bool:
        """Whether every property held."""
        return not self.faults

    def __str__(self) -> str:
        more = f": {'; '.join(self.faults[:3])}" if self.faults else ""
        return (
            f"{self.arrivals} arrivals, lost {len(self.lost)}, out of order {len(self.out_of_order)}, "
            f"duplicates {self.duplicates} ({len(self.forbidden)} not allowed), stuck {len(self.stuck)}, "
            f"unexplained {len(self.unexplained)}{more}"
        )


def check(
    ledger: Iterable[Line],
    *,
    may_repeat: Collection[str] = (),
    published: Collection[str] | None = None,
    deliveries_each: int = 1,
) -> Findings:
    """Judge the ledger by the database as it is now; see `judge`."""
    return judge(
        ledger, read_records(), may_repeat=may_repeat, published=published, deliveries_each=deliveries_each
    )


def judge(
    ledger: Iterable[Line],
    records: Records,
    *,
    may_repeat: Collection[str] = (),
    published: Collection[str] | None = None,
    deliveries_each: int = 1,
) -> Findings:
    """Judge a ledger by these records.

    `may_repeat` are public ids of deliveries that may arrive again although no attempt says why;
    `published` the ids of all events whose transaction committed, each of which must have become
    `deliveries_each` deliveries. The product should be at rest: what is in flight is not judged yet.
    """
    lines = sorted(ledger, key=lambda line: line.number)
    arrivals: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        arrivals[line.webhook_id].append(line)
    repeats = {key: _repeats(found) for key, found in arrivals.items()}
    return Findings(
        arrivals=len(lines),
        duplicates=sum(repeats.values()),
        lost=tuple(_lost(records, arrivals, published, deliveries_each)),
        out_of_order=tuple(_out_of_order(lines, records)),
        forbidden=tuple(_forbidden(repeats, records, set(may_repeat))),
        stuck=tuple(
            f"{one.public_id} is {one.status} and not due"
            for one in records.deliveries.values()
            if one.status not in _FINAL
            and not one.is_due
            and not one.is_in_flight
            and not (one.status == "held" and one.hold_cause)
        ),
        unexplained=tuple(_unexplained(records, arrivals, published)),
    )


def _repeats(found: list[Line]) -> int:
    """Return how many of these arrivals came after an accepted one."""
    for position, line in enumerate(found):
        if line.is_accepted:
            return len(found) - position - 1
    return 0


def _lost(
    records: Records, arrivals: dict[str, list[Line]], published: Collection[str] | None, each: int
) -> Iterator[str]:
    made = Counter(one.event_id for one in records.deliveries.values())
    for event in published or ():
        if made[event] != each and event not in records.waiting_events:
            yield f"{event} became {made[event]} deliveries, not {each}"
    numbers: dict[int, set[int]] = defaultdict(set)
    for one in records.deliveries.values():
        if one.lane is not None and one.sequence is not None:
            numbers[one.lane].add(one.sequence)
        if one.status == "delivered" and not any(
            line.is_accepted for line in arrivals.get(one.public_id, ())
        ):
            yield f"{one.public_id} is called delivered and was never accepted"
    for lane, found in numbers.items():
        for number in sorted(set(range(1, max(found) + 1)) - found):
            yield f"number {number} of lane {lane} does not exist"


def _out_of_order(lines: list[Line], records: Records) -> Iterator[str]:
    lanes: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.lane:
            lanes[line.lane].append(line)
    passed: dict[int, set[int]] = defaultdict(set)
    rows: dict[str, int] = {}
    for one in records.deliveries.values():
        if one.lane is not None and one.sequence is not None:
            rows[one.public_id] = one.lane
            if one.status in _PASSED:
                passed[one.lane].add(one.sequence)
    for name, found in lanes.items():
        # The row of the lane, for what was passed over and therefore never arrived.
        skipped = passed[next((rows[line.webhook_id] for line in found if line.webhook_id in rows), -1)]
        accepted: dict[int, float] = {}
        for line in found:
            if line.is_accepted and line.sequence is not None:
                accepted[line.sequence] = min(accepted.get(line.sequence, line.answered), line.answered)
        seen: set[int] = set()
        head = 1
        for line in found:
            number = line.sequence or 0
            if number in seen:
                continue
            seen.add(number)
            while head < number and (head in skipped or accepted.get(head, float("inf")) <= line.arrived):
                head += 1
            if head < number:
                yield f"{number} of lane {name} arrived before {head} was accepted"


def _forbidden(repeats: dict[str, int], records: Records, may_repeat: set[str]) -> Iterator[str]:
    for key, count in repeats.items():
        record = records.deliveries.get(key)
        if not count or record is None or key in may_repeat:
            continue
        reasons = sum(one.verdict in _MAYBE and not one.is_fenced for one in record.tries)
        if count > reasons:
            yield f"{key} arrived {count} times after it was accepted, with {reasons} reasons"


def _unexplained(
    records: Records, arrivals: dict[str, list[Line]], published: Collection[str] | None
) -> Iterator[str]:
    for key, found in arrivals.items():
        record = records.deliveries.get(key)
        if record is None:
            yield f"{key} arrived and is no delivery"
            continue
        for line in found:
            if line.event_id != record.event_id or line.sequence != record.sequence:
                yield f"{key} arrived as number {line.sequence} of {line.event_id}"
        if published is not None and record.event_id not in published:
            yield f"{key} arrived, and {record.event_id} was never published"
    for key, record in records.deliveries.items():
        yield from _unmatched(record, arrivals.get(key, []))


def _unmatched(record: Record, found: list[Line]) -> Iterator[str]:
    """Match the lines of one delivery with its attempts, by status code where the worker saw one."""
    codes = Counter(str(one.status_code) for one in record.tries if one.status_code is not None)
    blind = len(record.tries) - codes.total()  # it may have arrived, or not
    answers = Counter(line.answer for line in found if line.answer.isdigit())
    odd = len(found) - answers.total()  # a misbehaviour shows any status, or none
    invented = (codes - answers).total()
    if invented > odd:
        yield f"{record.public_id} has {invented - odd} attempts with an answer that was never given"
    bare = (answers - codes).total() + max(0, odd - invented) - blind - record.is_in_flight
    if bare > 0:
        yield f"{record.public_id} arrived {len(found)} times, {bare} of them without an attempt"
