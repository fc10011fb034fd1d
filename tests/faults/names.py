"""A name server that changes its mind: `python -m tests.faults.names ADDRESS ANSWER…`.

It answers each question for an address with an ANSWER, `a.b.c.d` or several joined by `+`: with each of them once, in a
random order, and so on. In a fixed order, some lane may meet the same one each time that its turn comes.
"""

import random
import socket
import struct
import sys
from collections.abc import Iterator, Sequence

_A = 1


def main(address: str, *answers: str) -> None:
    """Answer until killed."""
    turn = _in_turn(answers)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            question, client = server.recvfrom(512)
            server.sendto(_answer(question, turn), client)


def _in_turn(answers: Sequence[str]) -> Iterator[str]:
    while True:
        yield from random.sample(answers, len(answers))


def _answer(question: bytes, turn: Iterator[str]) -> bytes:
    end = question.index(b"\0", 12) + 5
    [kind] = struct.unpack("!H", question[end - 4 : end - 2])
    found = next(turn).split("+") if kind == _A else []
    head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
    # Each for nothing: the next look-up asks again.
    rows = [struct.pack("!HHHIH", 0xC00C, _A, 1, 0, 4) + socket.inet_aton(one) for one in found]
    return head + question[12:end] + b"".join(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
