"""What a receiver should get right, and why each of it matters."""

from dataclasses import dataclass

ADVISED = 2.0  # seconds; a receiver that takes longer works before it answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a receiver should get right."""

    name: str
    sent: str
    expected: str
    why: str


CHECKS = {
    check.name: check
    for check in (
        Check(
            name="good",
            sent="A correct request.",
            expected="2xx",
            why="Anything but 2xx is tried again, and in the end kept as dead.",
        ),
        Check(
            name="in_time",
            sent="The same, by its time.",
            expected=f"within {ADVISED:g} s",
            why="A receiver that works before it answers runs into the time limit under load, and gets repeats. "
            "Keep the request, answer 2xx, work on it afterwards.",
        ),
        Check(
            name="duplicate",
            sent="The correct request once more, with the same webhook-id.",
            expected="2xx",
            why="Delivery is at least once. A repeat is known by its webhook-id, has no second effect and is "
            "answered 2xx, or it comes again and again.",
        ),
        Check(
            name="tampered",
            sent="A body that was changed after it was signed.",
            expected="4xx",
            why="Whoever can change a body on the way could change amounts and accounts.",
        ),
        Check(
            name="wrong_key",
            sent="A request signed with another secret.",
            expected="4xx",
            why="The URL is no secret: without this check anybody can post events to it.",
        ),
        Check(
            name="unsigned",
            sent="A request without a signature.",
            expected="4xx",
            why="A receiver that verifies only where a signature is present verifies nothing.",
        ),
        Check(
            name="expired",
            sent="A request that was signed correctly an hour ago.",
            expected="4xx",
            why="Somebody who recorded a request could send it again later; five minutes are enough for any delay.",
        ),
        Check(
            name="rotated_key",
            sent="Two signatures, the first with a new secret that the receiver does not know.",
            expected="2xx",
            why="While a secret is rotated both sign. One signature that verifies is enough.",
        ),
        Check(
            name="out_of_order",
            sent="Number 2 of a lane, and then number 1.",
            expected="2xx for both",
            why="Queues without order, retries and replays bring older events later. The receiver compares "
            "timestamp or sequence, and refuses neither.",
        ),
        Check(
            name="slow",
            sent="A correct request that arrives in four pieces with pauses between them.",
            expected="2xx",
            why="Networks and proxies cut requests up; the receiver reads as many bytes as Content-Length says.",
        ),
    )
}
