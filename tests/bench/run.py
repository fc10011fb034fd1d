"""What a bench is given, and the rounds that all of them go through."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.progress import Progress

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


class UnknownCase(Exception):  # noqa: N818 - named for the fact
    """The bench has no such case; names those that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of a bench."""

    folder: Path  # for its files; deleted at the end
    progress: Progress
    is_quick: bool
    rounds: int | None = None  # as asked for; None: as many as the bench needs
    only: str = ""  # measure the cases whose name contains this

    def scale(self, full: int, quick: int) -> int:
        """Return the one number or the other."""
        return quick if self.is_quick else full

    def wanted(self, names: list[str]) -> list[str]:
        """Return which of these cases are to be measured."""
        found = [name for name in names if self.only in name]
        if not found:
            raise UnknownCase(f"No case is called {self.only!r}. There are: {', '.join(names)}.")
        return found

    def interleave(
        self,
        name: str,
        ours: Callable[[], Ours],
        theirs: Callable[[], Theirs],
        *,
        rounds: int,
        show: Callable[[Ours, Theirs], str],
    ) -> tuple[list[Ours], list[Theirs]]:
        """Measure both sides in turn, each of them first every other time.

        The first turn warms both up and is discarded. `show` puts a turn into words.
        """
        rounds = self.rounds or rounds
        self.progress.expect(rounds + 1)
        kept: list[tuple[Ours, Theirs]] = []
        for number in range(rounds + 1):
            if number % 2:
                one, other = ours(), theirs()
            else:
                other = theirs()
                one = ours()
            if number:
                kept.append((one, other))
            label = f"round {number} of {rounds}" if number else "warm-up"
            self.progress.step(f"{name}, {label}: {show(one, other)}")
        return [one for one, _ in kept], [other for _, other in kept]
