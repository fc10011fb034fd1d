"""One round of a bench, of ours or of its baseline: how long it took, and the processor seconds it cost."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """So many deliveries or requests; `cpu` is what they cost each part, in processor seconds."""

    count: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Deliveries or requests a second."""
        return self.count / self.seconds

    @property
    def cost(self) -> dict[str, float]:
        """Processor microseconds for each of them, by part."""
        return {name: round(seconds / self.count * 1_000_000) for name, seconds in self.cpu.items()}
