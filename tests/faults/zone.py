"""A name server with a zone: `python -m tests.faults.zone ADDRESS`, the zone as one line of JSON on its input.

The zone gives each name its answers, one after another in turn: each is a list of IPv4 and IPv6 addresses
and of at most one other name, after `=`.
"""

import json
import socket
import struct
import sys
from collections import defaultdict

_A, _CNAME, _AAAA = 1, 5, 28


class Zone:
    """What the names lead to."""

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self._names = names
        self._asked: dict[tuple[str, int], int] = defaultdict(int)

    def answer(self, question: bytes) -> bytes:
        """Return the packet that answers one."""
        name, end = _name(question)
        [kind] = struct.unpack("!H", question[end : end + 2])
        rows = self._rows(name, kind)
        found = b"".join(_row(owner, *row) for owner, row in rows)
        is_known = name in self._names
        flags = 0x8180 if is_known else 0x8183
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(rows), 0, 0)
        return head + question[12 : end + 4] + found

    def _rows(self, name: str, kind: int) -> list[tuple[str, tuple[int, bytes]]]:
        turns = self._names.get(name)
        if not turns:
            return []
        # Each kind of address has its own turn: a look-up asks for both.
        turn = turns[self._asked[name, kind] % len(turns)]
        self._asked[name, kind] += 1
        rows: list[tuple[str, tuple[int, bytes]]] = []
        for each in turn:
            if each.startswith("="):
                rows += [(name, (_CNAME, _encoded(each[1:]))), *self._rows(each[1:], kind)]
            elif kind == (_AAAA if ":" in each else _A):
                family = socket.AF_INET6 if ":" in each else socket.AF_INET
                rows.append((name, (kind, socket.inet_pton(family, each))))
        return rows


def _name(question: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where its type stands."""
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"


def _row(owner: str, kind: int, data: bytes) -> bytes:
    # Each for nothing: the next look-up asks again.
    return _encoded(owner) + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


def main(address: str) -> None:
    """Answer until killed."""
    zone = Zone(json.loads(sys.stdin.readline()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            question, client = server.recvfrom(512)
            server.sendto(zone.answer(question), client)


if __name__ == "__main__":
    main(*sys.argv[1:])
