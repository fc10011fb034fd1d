"""What is said on an open connection to hand in one mail, in as few pieces as its server takes.

smtplib connects, greets and logs in. From there on it would write a piece, and wait, for every command.

1. PIPELINING with CHUNKING (RFC 2920, RFC 3030): a short mail is one piece, text included, and one wait.
2. PIPELINING alone: MAIL, RCPT and DATA are one piece, the text another: two waits.
3. Neither: a piece and a wait for each.

What was not written to its end cannot have been taken, so the phase is MESSAGE from the end of the writing on.
Whoever gets a refusal back closes the connection: nothing is ever said after an answer that was not read.
"""

import re
import select
import smtplib
import socket

from .account import Phase
from .trail import Trail

# Beyond it a refused recipient would cost more bandwidth than a round trip is worth.
ONE_PIECE = 64 * 1024  # bytes of message
_RECORD = 16_384  # TLS has no longer ones, so that nothing is ever left behind in its layer
_LONGEST_LINE = 8_192  # bytes of a reply; RFC 5321 allows 512
_MOST_LINES = 1_000  # of a reply
_SHORT = re.compile(rb"([0-9]{3}) ([^\r\n]{0,512}+)\r\n")


# Of a command, not of a mail: unknown, unknown in this way, not implemented, out of order.
_NOT_UNDERSTOOD = frozenset({500, 501, 502, 503, 504})


class ChunksNotTaken(smtplib.SMTPException):
    """A server offers CHUNKING, took sender and recipient, and does not know BDAT. It has no mail."""


class Dialogue:
    """The talking half of a connection, once smtplib has opened it."""

    def __init__(self, sock: socket.socket) -> None:
        # The deadline bounds each mail by shutting the socket; a time-out would cost a system call at each step.
        sock.settimeout(None)
        self._sock = sock
        self._received, self._read = b"", 0  # and how much of it
        self._unasked = select.poll()
        self._unasked.register(sock, select.POLLIN)

    @property
    def is_silent(self) -> bool:
        """Whether nothing came unasked: that would be that the server closes, or closing itself."""
        return self._read == len(self._received) and not self._unasked.poll(0)

    def answers(self, trail: Trail) -> bool:
        """Whether the server still answers. smtplib.SMTPException where it has gone."""
        trail.client("noop")
        self._say(b"noop\r\n")
        return self._reply(trail)[0] == 250

    def in_one_piece(self, trail: Trail, mail: str, rcpt: str, message: bytes) -> tuple[int, bytes]:
        """Hand in by MAIL, RCPT and BDAT, and return the reply that decided. Raises ChunksNotTaken."""
        bdat = f"BDAT {len(message)} LAST"
        self._note(trail, Phase.MAIL, mail, rcpt, bdat, f"({len(message)} bytes of message)")
        self._say(f"{mail}\r\n{rcpt}\r\n{bdat}\r\n".encode() + message)
        trail.phase = Phase.MESSAGE
        for phase in (Phase.MAIL, Phase.RCPT):
            code, text = self._reply(trail)
            if not 200 <= code <= 299:
                if 400 <= code <= 599:
                    trail.phase = phase  # a mail without a sender or a recipient goes nowhere
                return code, text
        code, text = self._reply(trail)
        if code in _NOT_UNDERSTOOD:
            raise ChunksNotTaken(f"{code} {text.decode('utf-8', 'replace')}")
        return code, text

    def in_two_pieces(self, trail: Trail, mail: str, rcpt: str, message: bytes) -> tuple[int, bytes]:
        """Hand in by MAIL, RCPT and DATA at once, then the text; return the reply that decided."""
        self._note(trail, Phase.MAIL, mail, rcpt, "DATA")
        self._say(f"{mail}\r\n{rcpt}\r\nDATA\r\n".encode())
        for phase in (Phase.MAIL, Phase.RCPT, Phase.DATA):
            trail.phase = phase
            code, text = self._reply(trail)
            if not _goes_on(phase, code):
                return code, text
        return self._text(trail, message)

    def in_steps(self, trail: Trail, mail: str, rcpt: str, message: bytes) -> tuple[int, bytes]:
        """Hand in command by command; return the reply that decided."""
        for phase, command in ((Phase.MAIL, mail), (Phase.RCPT, rcpt), (Phase.DATA, "DATA")):
            self._note(trail, phase, command)
            self._say(f"{command}\r\n".encode())
            code, text = self._reply(trail)
            if not _goes_on(phase, code):
                return code, text
        return self._text(trail, message)

    def _text(self, trail: Trail, message: bytes) -> tuple[int, bytes]:
        trail.client(f"({len(message)} bytes of message)")
        self._say(_stuffed(message))
        trail.phase = Phase.MESSAGE
        return self._reply(trail)

    @staticmethod
    def _note(trail: Trail, phase: Phase, *lines: str) -> None:
        trail.phase = phase
        for line in lines:
            trail.client(line)

    def _say(self, content: bytes) -> None:
        try:
            self._sock.sendall(content)
        except OSError as error:
            raise smtplib.SMTPServerDisconnected(f"writing failed: {error}") from error

    def _reply(self, trail: Trail) -> tuple[int, bytes]:
        """Return the code (-1: not SMTP) and the words of the next reply, of however many lines and pieces."""
        code, text = self._short_reply() or self._long_reply()
        trail.server(code, text)
        return code, text

    def _short_reply(self) -> tuple[int, bytes] | None:
        """Nearly every one is a line, and all there."""
        if self._read == len(self._received):
            self._received, self._read = self._more(), 0
        found = _SHORT.match(self._received, self._read)
        if found is None:
            return None
        self._read = found.end()
        return int(found[1]), found[2].strip(b" \t")

    def _long_reply(self) -> tuple[int, bytes]:
        lines: list[bytes] = []
        while True:
            line = self._line()
            digits = line[:3]
            code = int(digits) if digits.isdigit() else -1
            lines.append(line[4:].strip(b" \t\r"))
            if code < 0 or line[3:4] != b"-":
                return code, b"\n".join(lines)
            if len(lines) > _MOST_LINES:
                raise smtplib.SMTPException("its reply does not end")

    def _line(self) -> bytes:
        while (end := self._received.find(b"\n", self._read)) < 0:
            if len(self._received) - self._read > _LONGEST_LINE:
                raise smtplib.SMTPException("a line of its reply does not end")
            self._received, self._read = self._received[self._read :] + self._more(), 0
        line, self._read = self._received[self._read : end], end + 1
        return line

    def _more(self) -> bytes:
        try:
            more = self._sock.recv(_RECORD)
        except OSError as error:
            raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {error}") from error
        if not more:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return more


def _goes_on(phase: Phase, code: int) -> bool:
    return code == 354 if phase is Phase.DATA else 200 <= code <= 299


def _stuffed(message: bytes) -> bytes:
    """The message as DATA takes it: leading dots doubled, the closing one added."""
    if b"\n." in message or message.startswith(b"."):
        message = (b"\n" + message).replace(b"\n.", b"\n..")[1:]
    return message + b".\r\n"
