"""The steps of a test, as they go by."""

import time
from dataclasses import dataclass, field
from enum import StrEnum


class StepStatus(StrEnum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class Step:
    """One step of a test."""

    name: str
    status: StepStatus = StepStatus.OK
    milliseconds: int = 0
    said: list[str] = field(default_factory=list)  # the dialogue, without secrets
    remedy: str = ""


class Timeline:
    """The steps so far; one ends where the next begins."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._began = time.monotonic()

    def begin(self, name: str) -> Step:
        """Start a step; the same one goes on."""
        if self.steps and self.steps[-1].name == name:
            return self.steps[-1]
        self.stop()
        self.steps.append(Step(name=name))
        return self.steps[-1]

    def begin_if(self, name: str, *, after: tuple[str, ...]) -> str:
        """Start a step if one of these is under way; return the name of what is under way then."""
        if self.steps and self.steps[-1].name in after:
            self.begin(name)
        return self.steps[-1].name if self.steps else ""

    def say(self, line: str) -> None:
        """Note a line in the step that is under way."""
        self.steps[-1].said.append(line)

    def stop(self, *, failure: str = "", advice: str = "") -> None:
        """End the step that is under way."""
        now = time.monotonic()
        if self.steps and not self.steps[-1].milliseconds:
            self.steps[-1].milliseconds = round((now - self._began) * 1000)
        self._began = now
        if failure:
            step = self.steps[-1]
            step.status, step.remedy = StepStatus.FAILED, advice
            if not any(failure in line for line in step.said):
                step.said.append(failure)
