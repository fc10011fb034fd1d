"""What a back-test has found so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from .fire import Occasion
from .odd import sentence
from .past import Past
from .payloads import build
from .rules import Rule

EXAMPLES = 3


@dataclass(kw_only=True)
class Tally:
    """What would have fired so far. A key counts once, as a firing does."""

    rule: Rule
    past: Past = field(default_factory=Past)
    keys: set[int] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    examples: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked_at: int = 0
    fired: int = 0
    faulty: int = 0
    first_fault: str = ""

    @contextmanager
    def sparing_others(self) -> Iterator[None]:
        """Count what the rule cannot work with; as when it is active, the others go on."""
        try:
            yield
        except DatabaseError:
            raise
        except Exception as error:
            self.faulty += 1
            self.first_fault = self.first_fault or sentence(self.rule, error)

    def add(self, occasion: Occasion, at: datetime) -> None:
        """Count what would have fired, unless it would have before."""
        key = hash((occasion.kind, occasion.external_id, occasion.tier, occasion.period))
        if key in self.keys:
            return
        self.keys.add(key)
        if occasion.is_covered:
            return
        self.fired += 1
        if occasion.account:
            self.accounts.add(occasion.account)
        if len(self.examples) < EXAMPLES:
            data = build(self.rule.row.event_type, self.rule.fields, occasion.material())
            self.examples.append(
                {
                    "object": f"{occasion.kind}:{occasion.external_id}",
                    "account": occasion.account,
                    "at": at.isoformat(),
                    "detail": occasion.detail,
                    "data": data,
                }
            )

    @property
    def result(self) -> dict[str, Any]:
        """What is kept of it: the examples, and in sentences what they leave out."""
        faults = (
            [f"The rule failed {self.faulty} times. The first: {self.first_fault}"] if self.faulty else []
        )
        return {"examples": self.examples, "notes": [*faults, *self.notes, *self.past.notes()]}
