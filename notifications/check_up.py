"""Checking a receiver: requests as it will meet them, right and wrong ones, and a report of what it got right.

1. A correct request goes first and alone. Where it is not accepted the others would tell nothing.
2. The others follow a few at a time, all within the endpoint's wall clock: whoever asked waits for the report.
3. Like every test they are marked as such, are no deliveries, and teach no circuit anything.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import cast

from events.models import EventType

from . import forgery
from .advice import advise, url_of
from .audit import Actor, record
from .models import Endpoint, Subscription
from .receiver_checks import ADVISED, CHECKS, Check
from .transports.base import Message, Outcome, Verdict
from .transports.trace import Trace
from .transports.webhook import WebhookTransport
from .trial_message import Maker

AT_ONCE = 4
# What is left for a request at least, in seconds; with less it would only tell of our own haste.
LEAST = 0.3
OLD = 3600  # seconds; Standard Webhooks has receivers refuse after 300


class Grade(StrEnum):
    """What a check found."""

    PASSED = "passed"
    FAILED = "failed"
    UNCLEAR = "unclear"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one check went."""

    check: Check
    grade: Grade
    said: str  # one or two plain sentences
    status_code: int | None = None
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found of a receiver."""

    url: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """Return it in a sentence."""
        right = sum(each.grade is Grade.PASSED for each in self.findings)
        wrong = sum(each.grade is Grade.FAILED for each in self.findings)
        if not wrong and right == len(self.findings):
            return f"The receiver got all {right} checks right."
        return f"The receiver got {right} of {len(self.findings)} checks right and {wrong} wrong."


def check_up(
    endpoint: Endpoint, *, about: EventType, subscription: Subscription | None, actor: Actor, reason: str = ""
) -> Report:
    """Send the requests within the endpoint's time, and have it written down.

    destinations.Unusable or rendering.Unrenderable where there is nothing to send or nowhere to send it to.
    """
    checks = _Checks(Maker(endpoint, about=about, subscription=subscription), about, endpoint)
    said = f"With the sample of {about.code}. {reason}".strip()
    record(actor, "endpoint.check", [f"endpoint {endpoint.pk}"], said)
    return checks.run()


class _Checks:
    """The requests of one check, made before any is sent: the threads that send touch no database."""

    def __init__(self, maker: Maker, about: EventType, endpoint: Endpoint) -> None:
        self._transport = cast(WebhookTransport, maker.sender.transport)
        self._timeout = maker.sender.timeout
        self._ends = time.monotonic() + self._timeout
        self._url = endpoint.url
        self._good = maker.message()
        key = about.ordering_prefix or "test"
        lane = ("bellwether-lane", f"test:{key}")
        first = maker.message(lane, ("bellwether-sequence", "1"))
        second = maker.message(lane, ("bellwether-sequence", "2"), ("bellwether-previous", first.id))
        send = {
            name: (maker.message(), trace)
            for name, trace in {
                "tampered": partial(Trace, alter=forgery.tampered),
                "wrong_key": partial(Trace, alter=forgery.wrongly_signed),
                "unsigned": partial(Trace, alter=forgery.unsigned),
                "expired": partial(Trace, age=OLD),
                "rotated_key": partial(Trace, alter=forgery.doubly_signed),
                "slow": partial(Trace, pause=min(0.5, self._timeout / 12)),
            }.items()
        }
        plain = partial(Trace)
        self._rest = {
            "duplicate": [(self._good, plain)],
            **{name: [one] for name, one in send.items()},
            "out_of_order": [(second, plain), (first, plain)],
        }

    def run(self) -> Report:
        good = self._send(self._good, Trace)
        found = self._first(good)
        if good is not None and good.verdict is Verdict.DELIVERED:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as threads:
                futures = {
                    name: threads.submit(self._one, name, requests) for name, requests in self._rest.items()
                }
            found |= {name: future.result() for name, future in futures.items()}
        skipped = "Not sent, as the correct request was not accepted: mend that first."
        return Report(
            url=url_of(good.request_headers if good else "") or self._url,
            findings=tuple(
                found.get(name) or Finding(check=check, grade=Grade.NOT_SENT, said=skipped)
                for name, check in CHECKS.items()
            ),
        )

    def _send(self, message: Message, trace: "partial[Trace] | type[Trace]") -> Outcome | None:
        """Send one; None where too little time is left."""
        left = self._ends - time.monotonic()
        return self._transport.send(message, trace(limit=left)) if left >= LEAST else None

    def _first(self, good: Outcome | None) -> dict[str, Finding]:
        found = {"good": judge(CHECKS["good"], [good])}
        if good is None or good.verdict is not Verdict.DELIVERED:
            return found
        seconds = good.duration.total_seconds()
        grade = Grade.PASSED if seconds <= ADVISED else Grade.FAILED
        said = f"It took {seconds:.2f} s; the limit of this endpoint is {self._timeout:g} s."
        found["in_time"] = Finding(
            check=CHECKS["in_time"], grade=grade, said=said, milliseconds=round(seconds * 1000)
        )
        return found

    def _one(self, name: str, requests: "Sequence[tuple[Message, partial[Trace]]]") -> Finding:
        return judge(CHECKS[name], [self._send(message, trace) for message, trace in requests])


def judge(check: Check, outcomes: Sequence[Outcome | None]) -> Finding:
    """Return what the answers to the requests of one check mean."""
    if None in outcomes:
        said = "Not sent: the answers before it took all the time that the endpoint has."
        return Finding(check=check, grade=Grade.NOT_SENT, said=said)
    sent = [outcome for outcome in outcomes if outcome is not None]
    wants_refusal = check.expected == "4xx"
    # The one that tells most: what was not accepted, if anything.
    outcome = next((one for one in sent if one.verdict is not Verdict.DELIVERED), sent[-1])
    grade, said = _refusal(outcome) if wants_refusal else _acceptance(outcome)
    return Finding(
        check=check,
        grade=grade,
        said=said,
        status_code=outcome.status_code,
        milliseconds=round(outcome.duration.total_seconds() * 1000),
    )


def _acceptance(outcome: Outcome) -> tuple[Grade, str]:
    found = advise(outcome)
    if outcome.verdict is Verdict.DELIVERED:
        return Grade.PASSED, found.verdict
    if outcome.status_code == 429:
        return Grade.UNCLEAR, "They limit how many requests they take (429): check again later."
    return Grade.FAILED, f"{found.verdict} {found.remedy}".strip()


def _refusal(outcome: Outcome) -> tuple[Grade, str]:
    status = outcome.status_code
    if outcome.verdict is Verdict.DELIVERED:
        return Grade.FAILED, f"They accepted it with {status}. The receiver must answer 400 or 401."
    if status is None:
        return Grade.UNCLEAR, f"No answer, which refuses nothing: {outcome.detail}"
    if status in (408, 429):
        return (
            Grade.UNCLEAR,
            f"They answered {status}, which says nothing of the signature: check again later.",
        )
    if 400 <= status <= 499:
        return Grade.PASSED, f"They refused it with {status}."
    if status >= 500:
        return (
            Grade.FAILED,
            f"They answered {status}: it was not refused, their code failed. Answer 400 or 401.",
        )
    return Grade.FAILED, f"They answered {status}. The receiver must answer 400 or 401."
