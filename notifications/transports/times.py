"""When a callout had come how far, at the price of a few readings of a clock."""

import time
from collections.abc import Sequence
from typing import Any

from smtpprofiles import guard


class Times(guard.Observer):
    """The moments of one callout in monotonic seconds; 0.0: it did not come so far, or had no need to."""

    # On the class: most callouts go over a kept connection, and set only the last ones.
    began = looked_up = vetted = connected = secured = 0.0
    asked = sent = answered = 0.0
    is_reused = False  # it went over a kept connection
    is_traced = False  # whether somebody wants to see it connect
    age = 0  # seconds by which its signature is dated back
    pause = 0.0  # seconds between the pieces of a request that is sent slowly

    def begin(self) -> None:
        """A connection is opened; what an earlier try had come to does not count."""
        self.looked_up = self.vetted = self.connected = self.secured = 0.0
        self.asked = self.sent = self.answered = 0.0
        self.began = time.monotonic()

    def resolved(self, addresses: Sequence[guard.VettedAddress]) -> None:  # noqa: ARG002 - for those that tell
        """The name was resolved."""
        self.looked_up = time.monotonic()

    def permitted(self, *, is_mapped: bool) -> None:  # noqa: ARG002
        """Every address may be connected to."""
        self.vetted = time.monotonic()

    def tried(self, sockaddr: Sequence[object], failure: OSError | None) -> None:  # noqa: ARG002
        """An address answered, or did not."""
        if failure is None:
            self.connected = time.monotonic()

    def shook_hands(self, sock: Any) -> None:  # noqa: ARG002
        """TLS is up."""
        self.secured = time.monotonic()

    def within(self, seconds: float) -> float:
        """Return the wall clock of this callout, of which so many seconds are the longest."""
        return seconds

    def altered(self, content: bytes) -> bytes:
        """Return the request as it is sent."""
        return content

    def phases(self) -> dict[str, Any]:
        """Return what an Outcome keeps: whole milliseconds of what came to its end."""
        if self.is_reused:
            return {"first_byte_ms": _span(self.asked, self.answered), "is_reused": True}
        return {
            "dns_ms": _span(self.began, self.looked_up),
            "connect_ms": _span(self.vetted, self.connected),
            "tls_ms": _span(self.connected, self.secured),
            "first_byte_ms": _span(self.asked, self.answered),
        }


def _span(start: float, end: float) -> int | None:
    return round((end - start) * 1000) if start and end else None
