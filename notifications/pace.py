"""How much one worker has under way at each destination, and how much more it may start.

1. A destination without a recent success is unproven: one run at a time. Proven, it has two, and one more
   after each full round of fast answers, up to its limit.
2. A send that takes longer than 250 ms leaves the fast class, and its destination with it: nothing more is
   started there meanwhile, and another thread takes the place of the one that waits.
3. All that is not fast shares a bounded number of threads, so that it never takes the last ones. What was fast and
   hangs now is not of them: it starts nothing more, and would keep first contacts with others waiting.
"""

from dataclasses import dataclass

from .destinations import Destination

SLOW = 0.25  # seconds


@dataclass(slots=True, kw_only=True)
class Pace:
    """What one destination is allowed. Only the loop's thread changes it; others may read `is_stalled`."""

    # Mail servers take their time over every mail: a slow one is no sign of trouble.
    is_patient: bool = False
    limit: int = 1
    under_way: int = 0  # runs handed to the threads
    is_proven: bool = False
    is_slow: bool = False
    waiting: int = 0  # of its sends, those older than 250 ms now
    is_stalled: bool = False  # nothing more is started while they wait
    streak: int = 0

    @property
    def is_fast(self) -> bool:
        """Whether its sends may take the threads that are kept for fast ones."""
        return self.is_proven and not self.is_slow and not self.is_stalled

    def good(self, seconds: float, *, most: int) -> None:
        """Note an accepted send and how long it took; `most` is the destination's own limit."""
        self.is_slow = seconds > SLOW
        self.limit = min(self.limit, most)  # it may have been lowered
        if not self.is_proven:
            self.is_proven, self.limit, self.streak = True, min(2, most), 0
        elif self.is_slow and not self.is_patient:
            self.limit, self.streak = min(self.limit, 2), 0
        else:
            self.streak += 1
            if self.streak >= self.limit:
                self.limit, self.streak = min(self.limit + 1, most), 0

    def bad(self) -> None:
        """Note a send that failed: it has to prove itself again."""
        self.is_proven, self.limit, self.streak = False, 1, 0

    def room(self) -> int:
        """Return how many more runs may be handed out."""
        return 0 if self.is_stalled else max(0, self.limit - self.under_way)


class Paces:
    """The paces of all destinations that this worker has met."""

    def __init__(self) -> None:
        self._paces: dict[Destination, Pace] = {}

    def of(self, destination: Destination) -> Pace:
        """Return the pace of a destination; a new one is unproven."""
        if (pace := self._paces.get(destination)) is None:
            pace = self._paces[destination] = Pace(is_patient=destination[1] is not None)
        return pace

    def waiting(self) -> int:
        """Return how many runs are under way that wait for an answer, or for one that does."""
        return sum(
            pace.under_way if pace.is_stalled else min(pace.waiting, pace.under_way)
            for pace in self._paces.values()
        )

    def careful(self) -> int:
        """Return how many runs are under way at destinations that have not shown, or not lately, that they are fast."""
        return sum(p.under_way for p in self._paces.values() if p.is_slow or not p.is_proven)

    def stalled(self) -> int:
        """Return how many are under way at those that were fast until a moment ago."""
        return sum(
            p.under_way for p in self._paces.values() if p.is_stalled and p.is_proven and not p.is_slow
        )
