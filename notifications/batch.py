"""What is settled in one statement, and what waits for that."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field

from .breaker import Answer
from .claim import Lease
from .fetch import Claimed
from .sending import Run
from .settle import Result, settle


@dataclass(slots=True)
class Batch:
    """Filled with what comes in, then closed and written."""

    results: list[Result] = field(default_factory=list)
    untried: list[Claimed] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    windows: list[threading.Semaphore] = field(
        default_factory=list
    )  # one for each result that lets its run go on
    answers: defaultdict[int, list[Answer]] = field(default_factory=lambda: defaultdict(list))  # by circuit
    circuits: dict[int, Lease] = field(default_factory=dict)  # a lease of each circuit that has answers
    leases: list[Lease] = field(default_factory=list)  # set as it is closed
    renews_at: float | None = None  # monotonic seconds, where it renews all leases

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come in."""
        return not (self.results or self.untried or self.ended or self.answers)

    def write(self, worker: str) -> None:
        """Settle it. It can be repeated as it is."""
        if self.leases or self.results:
            settle(self.results, leases=self.leases, freed=self.untried, worker=worker)

    def follow(self, earlier: "Batch") -> None:
        """Take in what an earlier one, which failed, had, before what is here."""
        self.results[:0] = earlier.results
        self.untried[:0] = earlier.untried
        self.ended[:0] = earlier.ended
        self.windows[:0] = earlier.windows
        self.follow_answers(earlier)

    def follow_answers(self, earlier: "Batch") -> None:
        """Take in the answers of an earlier one, before those that are here."""
        for circuit, answers in earlier.answers.items():
            self.answers[circuit][:0] = answers
        self.circuits = earlier.circuits | self.circuits
