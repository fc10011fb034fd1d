"""Which levels a value crossed between two reports: old < T <= new, per tier and period."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from events import payload

from .conditions import State
from .values import number

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a threshold rule looks at.

    `thresholds` are per cent of the tier's size if `size_path` or `tiers_path` is given, else in the unit of
    the value. `tiers_path` leads to a list of tiers, each with its `size` (one on top of the other) and
    perhaps `number` and `name`.
    """

    value_path: str
    thresholds: Sequence[Decimal]
    size_path: str = ""
    tiers_path: str = ""
    period_path: str = ""
    is_below: bool = False
    highest_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One threshold of one tier, in the unit of the value. `size` is None where thresholds are absolute."""

    number: int
    name: str
    start: Decimal
    size: Decimal | None
    threshold: Decimal

    @property
    def at(self) -> Decimal:
        """The value at which it is reached."""
        return self.start + (self.threshold if self.size is None else self.size * self.threshold / HUNDRED)

    @property
    def key(self) -> str:
        """What it is called in the key of a firing: tier and threshold."""
        return f"{self.number}:{plain(self.threshold)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A level that was crossed, the values around it, and all that the same report crossed."""

    level: Level
    period: str
    previous: Decimal | None
    current: Decimal
    all_crossed: tuple[Decimal, ...]
    is_covered: bool = False  # by a higher one, where only the highest is told

    @property
    def percent(self) -> Decimal | None:
        """The current value in per cent of the tier."""
        size = self.level.size
        return plain((self.current - self.level.start) / size * HUNDRED) if size else None

    @property
    def remaining(self) -> Decimal | None:
        """What is left of the tier."""
        size = self.level.size
        return None if size is None else max(Decimal(0), self.level.start + size - self.current)


def crossings(measure: Measure, before: State | None, after: State) -> list[Crossing]:
    """Return what the change crossed, lowest first (below: highest first).

    A new object, and a new period, begin before every level. A value that falls, or is gone, resets nothing.
    """
    current = number(payload.lookup(after, measure.value_path))
    if current is None:
        return []
    now = period(measure, after)
    previous = number(payload.lookup(before, measure.value_path))
    if before is None or period(measure, before) != now:
        previous, before = None, None
    was = {level.key: level for level in levels(measure, before)} if before is not None else {}
    crossed = [
        level
        for level in levels(measure, after)
        if _reached(level, current, measure) and not _was_reached(was.get(level.key), previous, measure)
    ]
    crossed.sort(key=lambda level: level.at, reverse=measure.is_below)
    told = tuple(plain(level.threshold) for level in crossed)
    return [
        Crossing(
            level=level, period=now, previous=previous, current=current, all_crossed=told,
            is_covered=measure.highest_only and at < len(crossed) - 1,
        )
        for at, level in enumerate(crossed)
    ]  # fmt: skip


def reached(measure: Measure, state: State) -> set[str]:
    """Return the keys of the levels at which the object stands now."""
    current = number(payload.lookup(state, measure.value_path))
    if current is None:
        return set()
    return {level.key for level in levels(measure, state) if _reached(level, current, measure)}


def period(measure: Measure, state: State) -> str:
    """Return the period of a state; empty where the rule has none or the report says none."""
    return str(payload.lookup(state, measure.period_path) or "") if measure.period_path else ""


def levels(measure: Measure, state: State) -> list[Level]:
    """Return every threshold of every tier of an object."""
    tiers = list(_tiers(measure, state))
    return [
        Level(number=at, name=name, start=start, size=size, threshold=threshold)
        for at, name, start, size in tiers
        for threshold in measure.thresholds
    ]


def _tiers(measure: Measure, state: State) -> Iterable[tuple[int, str, Decimal, Decimal | None]]:
    if not measure.size_path and not measure.tiers_path:
        yield 1, "", Decimal(0), None
        return
    listed: Any = payload.lookup(state, measure.tiers_path) if measure.tiers_path else None
    if not isinstance(listed, list) or not listed:
        size = number(payload.lookup(state, measure.size_path)) if measure.size_path else None
        if size:
            yield 1, "", Decimal(0), size
        return
    start = Decimal(0)
    for at, tier in enumerate(listed, 1):
        size = number(payload.lookup(tier, "size"))
        if not size:
            continue
        stated = payload.lookup(tier, "number")
        told = stated if isinstance(stated, int) and not isinstance(stated, bool) else at
        yield told, str(payload.lookup(tier, "name") or ""), start, size
        start += size


def _reached(level: Level, value: Decimal, measure: Measure) -> bool:
    if measure.is_below:
        return value <= level.at
    # Nothing is crossed by what has not begun: a level of 0 is none.
    return level.at > level.start and value >= level.at


def _was_reached(level: Level | None, value: Decimal | None, measure: Measure) -> bool:
    return level is not None and value is not None and _reached(level, value, measure)


def plain(value: Decimal) -> Decimal:
    """Return a number without needless digits, at most four after the point: 104.2, 100."""
    rounded = value.quantize(Decimal("0.0001")).normalize()
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded
