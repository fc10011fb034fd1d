"""Handing in a mail to servers that answer in their own way, and break off at every point."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import trustme

from smtpprofiles import sender, session
from smtpprofiles.account import Phase, Security, SendResult, SendStatus, SmtpAccount
from tests.servers import MAIL_SERVER

TEXT = b"From: billing@example.test\r\nSubject: Invoice\r\n\r\n.Your invoice\r\nend of it"
ONE, TWO, STEPS = "PIPELINING CHUNKING", "PIPELINING", "CHUNKING"
ALL, DATA, DOT = b"end of it\r\n", b"DATA\r\n", b"\r\n.\r\n"  # what a mail's pieces end with
OK, GO, NO, LATER, WAIT = (
    b"250 2.0.0 ok\r\n",
    b"354 go on\r\n",
    b"550 5.1.1 no\r\n",
    b"450 4.2.1 later\r\n",
    b"",
)
OUT_OF_ORDER = b"503 5.5.1 need RCPT\r\n"
MANY = b"250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n"

Step = tuple[bytes, list[bytes]]


class Server:
    """Goes through its steps: reads up to the given bytes, then answers, each entry a packet of its own."""

    def __init__(self, offers: str, steps: list[Step], *, then: str, ca: trustme.CA | None) -> None:
        self._offers, self._steps, self._then = offers, steps, then
        self._later = steps
        self._context = None
        if ca is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ca.issue_cert(MAIL_SERVER).configure_cert(self._context)
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = b""
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def then_speaks(self, steps: list[Step]) -> None:
        """On every connection after the first one."""
        self._later = steps

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                talk, _ = self._listener.accept()
                self.connections += 1
                with talk, suppress(OSError):
                    self._speak(self._context.wrap_socket(talk, server_side=True) if self._context else talk)

    def _speak(self, talk: socket.socket) -> None:
        with talk:  # which is another one than was accepted, where there is TLS
            self._say_all(talk)

    def _say_all(self, talk: socket.socket) -> None:
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.sendall(b"220 here\r\n")
        lines = ["here", *self._offers.split()]
        greeting = "".join(f"250{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines)
        steps = self._steps if self.connections == 1 else self._later
        for end, packets in [(b"\r\n", [greeting.encode()]), *steps]:
            read = b""
            while not read.endswith(end):
                if not (more := talk.recv(65_536)):
                    return
                read += more
                self.received += more
            for packet in packets:
                talk.sendall(packet)
        if self._then == "stall":
            self._ended.wait(10)
        elif self._then == "reset":
            talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def serve(settings) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(offers: str, *steps: Step, then: str = "close", ca: trustme.CA | None = None) -> Server:
        servers.append(Server(offers, list(steps), then=then, ca=ca))
        settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:25=127.0.0.1:{servers[-1].port}"]
        return servers[-1]

    yield start
    sender.close()
    for server in servers:
        server.close()


def hand_in(message: bytes = TEXT, *, seconds: float = 5.0, **account_values: Any) -> SendResult:
    account = SmtpAccount(host=MAIL_SERVER, timeout_seconds=seconds, **account_values)
    return sender.send(account, message, sender="billing@example.test", recipient="ada@example.com")


def letters(answer: bytes) -> list[bytes]:
    return [answer[at : at + 1] for at in range(len(answer))]


@pytest.mark.parametrize(
    ("offers", "steps"),
    [
        (ONE, [(ALL, [OK * 3])]),
        (ONE, [(ALL, [OK, OK, OK])]),
        (ONE, [(ALL, letters(OK * 2 + MANY))]),
        (ONE, [(ALL, [MANY + OK[:5], OK[5:] + MANY])]),
        (TWO, [(DATA, [OK + OK + GO]), (DOT, [OK])]),
        (TWO, [(DATA, [OK, MANY, GO]), (DOT, letters(OK))]),
        (STEPS, [(b"\r\n", [OK]), (b"\r\n", [MANY]), (DATA, [GO]), (DOT, [OK])]),
    ],
)
def test_a_mail_is_taken_however_the_server_cuts_its_answers(serve, offers, steps):
    server = serve(offers, *steps)

    result = hand_in()

    assert (result.status, result.phase, result.code) == (SendStatus.ACCEPTED, Phase.MESSAGE, 250)
    if offers == ONE:
        assert server.received.endswith(b"RCPT TO:<ada@example.com>\r\nBDAT 74 LAST\r\n" + TEXT + b"\r\n")
    else:
        assert server.received.endswith(b"\r\n\r\n..Your invoice\r\nend of it\r\n.\r\n")


T, P, U, F = SendStatus.TEMPORARY, SendStatus.PERMANENT, SendStatus.UNKNOWN, SendStatus.PROFILE_FAULT


@pytest.mark.parametrize(
    ("offers", "steps", "status", "phase", "error_class"),
    [
        # Refused, while the rest is answered too: what the rest is answered does not matter.
        (ONE, [(ALL, [b"553 5.7.1 not you\r\n", OUT_OF_ORDER, OUT_OF_ORDER])], F, Phase.MAIL, "smtp_5xx"),
        (ONE, [(ALL, [OK, NO, OUT_OF_ORDER])], P, Phase.RCPT, "smtp_5xx"),
        (ONE, [(ALL, [OK + LATER + OUT_OF_ORDER])], T, Phase.RCPT, "smtp_4xx"),
        (ONE, [(ALL, [OK, OK, b"554 5.7.1 spam\r\n"])], P, Phase.MESSAGE, "smtp_5xx"),
        (ONE, [(ALL, [b"421 4.3.2 closing\r\n"])], T, Phase.MAIL, "smtp_4xx"),
        (TWO, [(DATA, [OK, NO, b"554 5.5.1 no valid recipients\r\n"])], P, Phase.RCPT, "smtp_5xx"),
        (TWO, [(DATA, [OK + NO + GO])], P, Phase.RCPT, "smtp_5xx"),
        (TWO, [(DATA, [OK, OK, b"452 4.3.1 full\r\n"])], T, Phase.DATA, "smtp_4xx"),
        (STEPS, [(b"\r\n", [OK]), (b"\r\n", [OK]), (DATA, [LATER])], T, Phase.DATA, "smtp_4xx"),
        # Broken off: what may have arrived whole is unknown, all else is not taken.
        (ONE, [(ALL, [])], U, Phase.MESSAGE, "reset"),
        (ONE, [(ALL, [OK])], U, Phase.MESSAGE, "reset"),
        (ONE, [(ALL, [OK, OK])], U, Phase.MESSAGE, "reset"),
        (ONE, [(ALL, [OK, OK, b"250-2.0.0 one\r\n250"])], U, Phase.MESSAGE, "reset"),
        (ONE, [(ALL, [b"HTTP/1.1 400 Bad Request\r\n"])], U, Phase.MESSAGE, "protocol"),
        (TWO, [(DATA, [])], T, Phase.MAIL, "reset"),
        (TWO, [(DATA, [OK])], T, Phase.RCPT, "reset"),
        (TWO, [(DATA, [OK, OK])], T, Phase.DATA, "reset"),
        (TWO, [(DATA, [OK + OK + GO]), (DOT, [])], U, Phase.MESSAGE, "reset"),
        (STEPS, [(b"\r\n", [OK]), (b"\r\n", [])], T, Phase.RCPT, "reset"),
        (STEPS, [(b"\r\n", [OK]), (b"\r\n", [OK]), (DATA, [GO]), (DOT, [])], U, Phase.MESSAGE, "reset"),
        # Neither a line nor a reply goes on for ever.
        (TWO, [(DATA, [b"2" * 10_000])], T, Phase.MAIL, "protocol"),
        (ONE, [(ALL, [b"250-more\r\n" * 1_100])], U, Phase.MESSAGE, "protocol"),
    ],
)
def test_each_refusal_and_each_break_is_told_for_what_it_is(serve, offers, steps, status, phase, error_class):
    server = serve(offers, *steps)

    result = hand_in()

    assert (result.status, result.phase, result.error_class) == (status, phase, error_class)
    is_out = offers == ONE or phase is Phase.MESSAGE
    assert (b"end of it" in server.received) is is_out, "a text follows its command, and no refusal"
    assert "C: MAIL FROM:<billing@example.test>" in result.transcript
    assert server.connections == 1


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
@pytest.mark.parametrize(("then", "error_class"), [("reset", "reset"), ("stall", "timeout")])
def test_a_text_that_was_not_written_to_its_end_was_not_taken(serve, ca, then, error_class, security):
    long = TEXT + b"\r\n" + b"x" * 16_000_000
    is_secured = security is Security.TLS
    server = serve(TWO, (DATA, [OK + OK + GO]), then=then, ca=ca if is_secured else None)
    trusted = ca.cert_pem.bytes().decode() if is_secured else ""

    result = hand_in(long, seconds=5.0 if then == "reset" else 0.5, security=security, ca_certificate=trusted)

    assert (result.status, result.phase, result.error_class) == (T, Phase.DATA, error_class)
    assert server.connections == 1


def test_a_server_that_offers_chunks_and_knows_none_gets_the_mail_without(serve, monkeypatch):
    monkeypatch.setattr(session, "_chunkless", set())
    unknown = b"502 5.5.2 unknown command\r\n"
    server = serve(ONE, (ALL, [OK, OK, unknown * 4]))
    careful = [(DATA, [OK + OK + GO]), (DOT, [OK])]
    server.then_speaks(careful)

    first, second = hand_in(), hand_in()

    assert [first.status, second.status] == [SendStatus.ACCEPTED] * 2
    assert "does not know BDAT" in first.transcript
    assert "BDAT" not in second.transcript
    assert server.received.count(b"BDAT") == 1


@pytest.mark.parametrize("is_long", [False, True])
def test_a_long_mail_and_one_of_a_careful_profile_leave_once_the_recipient_is_agreed_on(serve, is_long):
    server = serve(ONE, (DATA, [OK + NO + GO]))

    result = hand_in(TEXT + b"\r\n" + b"x" * 70_000 * is_long, asks_first=not is_long)

    assert (result.status, result.phase) == (P, Phase.RCPT)
    assert b"Your invoice" not in server.received


def test_a_mail_that_a_kept_connection_may_have_swallowed_is_not_sent_again_by_itself(serve):
    server = serve(ONE, (ALL, [OK * 3]), (ALL, []))

    assert hand_in().status is SendStatus.ACCEPTED
    result = hand_in()

    assert (result.status, result.phase, server.connections) == (U, Phase.MESSAGE, 1)


def test_a_connection_on_which_something_came_unasked_is_not_used_again(serve):
    server = serve(ONE, (ALL, [OK * 3 + b"421 4.4.2 enough\r\n"]))

    assert hand_in().status is SendStatus.ACCEPTED
    result = hand_in()

    assert (result.status, server.connections) == (SendStatus.ACCEPTED, 2)
    assert "connecting anew" in result.transcript
