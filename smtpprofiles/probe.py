"""Testing a profile step by step, over the very code that sends: what was done, how long it took, what was said."""

from dataclasses import dataclass

from . import provider_probe, smtp_probe
from .account import Account, ProviderAccount
from .timeline import Step, StepStatus, Timeline


@dataclass(frozen=True, slots=True)
class Probe:
    """A whole test; a step that failed is the last one."""

    steps: list[Step]

    @property
    def is_good(self) -> bool:
        """Whether every step went well."""
        return all(step.status is StepStatus.OK for step in self.steps)


def probe(account: Account, *, recipient: str = "", message: bytes = b"") -> Probe:
    """Test an account; with a recipient, send it this message as well. Takes as long as one mail may take."""
    timeline = Timeline()
    run = provider_probe.run if isinstance(account, ProviderAccount) else smtp_probe.run
    run(account, timeline, recipient=recipient, message=message)  # type: ignore[arg-type]
    timeline.stop()
    return Probe(timeline.steps)
