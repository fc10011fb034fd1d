"""One connection to one mail server: Django's own SMTP backend with our socket, CA, clock and transcript."""

import smtplib
import socket
import ssl
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend

from . import guard
from .account import Phase, Security, SmtpAccount
from .addresses import NotTakenHere
from .dialogue import ONE_PIECE, Dialogue
from .tls import client_context
from .trail import Trail, xoauth2

# A connection that served so recently is asked for no sign of life: that would be a fifth of a mail's round trips.
TRUSTED_SECONDS = 2.0
# Servers that offer CHUNKING and do not know it, by host and port: there are next to none.
_chunkless: set[tuple[str, int]] = set()


class _GuardedSmtp(smtplib.SMTP):
    def __init__(self, *args: Any, session: "SmtpSession", **kwargs: Any) -> None:
        self.session = session
        super().__init__(*args, **kwargs)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        trail = self.session.trail
        trail.phase = Phase.CONNECT
        sock = guard.connect(
            host,
            port,
            timeout=min(self.session.account.connect_seconds, trail.deadline.remaining() or 0.001),
            allowed_networks=guard.networks(tuple(settings.SMTP_ALLOWED_NETWORKS), "SMTP_ALLOWED_NETWORKS"),
            connect_to=guard.connect_to_map(tuple(settings.OUTBOUND_CONNECT_TO)),
            setting="SMTP_ALLOWED_NETWORKS",
        )
        self.session.address = trail.address = guard.show(sock.getpeername())
        trail.note(f"connected to {trail.address}")
        sock.settimeout(timeout)
        trail.deadline.watch(sock)
        trail.phase = Phase.TLS if self.session.account.security is Security.TLS else Phase.GREETING
        return sock

    def connect(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        answer = super().connect(*args, **kwargs)
        self.session.trail.phase = Phase.GREETING
        return answer

    def ehlo_or_helo_if_needed(self) -> None:
        """As smtplib, but only a server that does not know EHLO is greeted with HELO."""
        if self.helo_resp is not None or self.ehlo_resp is not None:
            return
        code, text = self.ehlo()
        if code in (500, 501, 502, 504):
            code, text = self.helo()
        if not 200 <= code <= 299:
            raise smtplib.SMTPHeloError(code, text)

    def starttls(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        self.ehlo_or_helo_if_needed()
        self.session.trail.phase = Phase.TLS
        answer = super().starttls(*args, **kwargs)
        self.session.trail.note("TLS established")
        self.session.trail.phase = Phase.GREETING
        self.ehlo_or_helo_if_needed()
        return answer

    def login(self, user: str, password: str, **kwargs: Any) -> tuple[int, bytes]:
        self.ehlo_or_helo_if_needed()
        self.session.trail.phase = Phase.AUTH
        if self.session.account.grant is None:
            return super().login(user, password, **kwargs)
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "XOAUTH2" not in offered:
            raise smtplib.SMTPNotSupportedError("XOAUTH2")
        # A challenge says, in base64, why the token is refused; the empty answer ends it with the reply.
        return self.auth("XOAUTH2", lambda challenge=None: "" if challenge else xoauth2(user, password))

    def putcmd(self, cmd: str, args: str = "") -> None:
        self.session.trail.client(f"{cmd} {args}".strip())
        super().putcmd(cmd, args)

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        self.session.trail.server(code, text)
        return code, text


class _GuardedSmtpOverTls(smtplib.SMTP_SSL, _GuardedSmtp):
    """TLS from the first byte: SMTP_SSL wraps the socket that the guarded class connects."""

    def __init__(self, *args: Any, session: "SmtpSession", **kwargs: Any) -> None:
        self.session = session
        smtplib.SMTP_SSL.__init__(self, *args, **kwargs)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = super()._get_socket(host, port, timeout)
        self.session.trail.note("TLS established")
        self.session.trail.phase = Phase.GREETING
        return sock


class SmtpSession(EmailBackend):
    """One connection for one account, used by one thread at a time.

    `open()` and `hand_in()` raise what smtplib, ssl and the guard raise; `trail` says how far it came.
    """

    trail: Trail
    connection: _GuardedSmtp | None
    _partial_connection: _GuardedSmtp | None

    def __init__(self, account: SmtpAccount, *, token: str = "") -> None:
        # Never None: Django would fall back to the global EMAIL_HOST_USER and _PASSWORD.
        super().__init__(
            host=account.host,
            port=account.port,
            username=account.username or "",
            password=token or account.password or "",
            use_tls=account.security is Security.STARTTLS,
            use_ssl=account.security is Security.TLS,
            timeout=account.timeout_seconds,
            ssl_keyfile="",
            ssl_certfile="",
        )
        self.account = account
        self.address = ""
        self.opened_at = self.used_at = time.monotonic()
        self.mails = 0
        self._dialogue: Dialogue | None = None

    @property
    def connection_class(self) -> Any:
        """The guarded connection, bound to this session."""
        secured = self.account.security is Security.TLS
        return partial(_GuardedSmtpOverTls if secured else _GuardedSmtp, session=self)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The profile's own CA, else the operator's bundle, else the system's."""
        return client_context("smtp", self.account.ca_certificate, settings.OUTBOUND_CA_BUNDLE)

    def begin(self, trail: Trail) -> None:
        """Take up the session for one mail: what is said goes to this trail, and its clock runs."""
        self.trail = trail
        if self.connection is not None and self.connection.sock is not None:
            trail.deadline.watch_lent(self.connection.sock)
            trail.address = self.address
            trail.phase = Phase.GREETING

    def alive(self) -> bool:
        """Whether the kept connection may be used: nothing came unasked, and after a pause it answers."""
        if self._dialogue is None or not self._dialogue.is_silent:
            return False
        if time.monotonic() - self.used_at < TRUSTED_SECONDS:
            return True
        try:
            return self._dialogue.answers(self.trail)
        except smtplib.SMTPException:
            return False

    def hand_in(self, message: bytes, *, sender: str, recipient: str) -> tuple[int, bytes]:
        """Give one message (CRLF line ends) for one recipient to the server; return its last reply, good or bad.

        `trail.phase` is the step that the reply belongs to. Raises addresses.NotTakenHere.
        """
        smtp = self.connection
        assert smtp is not None, "open() first"
        smtp.ehlo_or_helo_if_needed()
        if self._dialogue is None:
            assert smtp.sock is not None, "open() first"
            self._dialogue = Dialogue(smtp.sock)
        offers = smtp.esmtp_features
        if "pipelining" not in offers:
            give = self._dialogue.in_steps
        elif "chunking" in offers and len(message) <= ONE_PIECE and self._may_chunk:
            give = self._dialogue.in_one_piece
        else:
            give = self._dialogue.in_two_pieces
        self.trail.phase = Phase.MAIL
        options = _options(offers, message, (sender, recipient))
        return give(self.trail, f"MAIL FROM:<{sender}>{options}", f"RCPT TO:<{recipient}>", message)

    @property
    def _may_chunk(self) -> bool:
        return not self.account.asks_first and (self.account.host, self.account.port) not in _chunkless

    def takes_no_chunks(self) -> None:
        """Note for this process that the server does not keep what it offers."""
        _chunkless.add((self.account.host, self.account.port))

    def abandon(self) -> None:
        """Close at once, without a word to the server."""
        # Lent sockets are taken back before they are closed.
        self.trail.deadline.let_go()
        self._dialogue = None
        for connection in (self.connection, self._partial_connection):
            if connection is not None:
                connection.close()
        self.connection = self._partial_connection = None

    def quit(self) -> None:
        """Take leave of the server, waiting for it two seconds at most."""
        if self.connection is not None and self.connection.sock is not None:
            # Not lent: smtplib closes it.
            self.trail.deadline.watch(self.connection.sock)
            self.connection.sock.settimeout(2)
        try:
            self.close()
        except (OSError, smtplib.SMTPException):
            self.abandon()


def _options(offers: Mapping[str, str], message: bytes, addresses: tuple[str, ...]) -> str:
    """What is said of a mail with its sender."""
    options = " BODY=8BITMIME" if not message.isascii() and "8bitmime" in offers else ""
    if "size" in offers:
        options += f" SIZE={len(message)}"
    for address in addresses:
        if not address.isascii():
            if "smtputf8" not in offers:
                raise NotTakenHere(address)
            return f"{options} SMTPUTF8"
    return options
