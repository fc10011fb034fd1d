"""What the rounds of a measurement amount to. Plain values."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.bench.rounds import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison: what each round measured of ours and of the baseline, and the target.

    With a baseline the target is a ratio, ours to the baseline's of the same round; without one it
    is a number in `unit`.
    """

    name: str
    unit: str
    ours: Sequence[float]
    baseline: Sequence[float] | None
    target: float
    at_most: bool = False  # the target is an upper bound
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_rounds(
        cls,
        name: str,
        ours: Sequence[Round],
        baseline: Sequence[Round],
        *,
        target: float,
        extra: Mapping[str, Any],
    ) -> Self:
        """The rates of both sides, round by round."""
        return cls(
            name=name,
            unit="deliveries/s",
            ours=[each.rate for each in ours],
            baseline=[each.rate for each in baseline],
            target=target,
            extra=extra,
        )

    def __post_init__(self) -> None:
        if not self.ours:
            raise ValueError(f"{self.name}: nothing was measured")
        if self.baseline is not None and len(self.baseline) != len(self.ours):
            raise ValueError(
                f"{self.name}: {len(self.ours)} rounds of ours, {len(self.baseline)} of the baseline"
            )

    @property
    def judged(self) -> list[float]:
        """What is held against the target, a number a round."""
        if self.baseline is None:
            return list(self.ours)
        return [ours / theirs for ours, theirs in zip(self.ours, self.baseline, strict=True)]

    @property
    def value(self) -> float:
        """The median of it."""
        return statistics.median(self.judged)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of it."""
        return min(self.judged), max(self.judged)

    @property
    def holds(self) -> bool:
        """Whether the median meets the target."""
        return self.value <= self.target if self.at_most else self.value >= self.target

    def summary(self) -> dict[str, Any]:
        """Return the case as a part of the JSON line."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _short(statistics.median(self.ours)),
            "baseline": None if self.baseline is None else _short(statistics.median(self.baseline)),
            "ratio": None if self.baseline is None else _short(self.value),
            "target": self.target,
            "sense": "<=" if self.at_most else ">=",
            "holds": self.holds,
            "spread": [_short(bound) for bound in self.spread],
            "rounds": len(self.ours),
            **self.extra,
        }


def summary(name: str, cases: Sequence[Case], machine: str, **extra: Any) -> dict[str, Any]:
    """Return the one JSON object of a bench: the first case's figures, and all of them in `cases`.

    It holds if every case does.
    """
    listed = [case.summary() for case in cases]
    return {
        **listed[0],
        "name": name,
        "holds": all(case.holds for case in cases),
        "machine": machine,
        **extra,
        "cases": listed,
    }


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * share * 1_000_000) // 1_000_000) - 1)]


def _short(value: float) -> float:
    """Four significant digits, or all before the point."""
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
