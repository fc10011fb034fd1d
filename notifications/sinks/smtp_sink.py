"""A mail server on this machine: STARTTLS or TLS from the start, login, answers by script.

It needs the dependency group `demo` (aiosmtpd, trustme), and is imported only where one is wanted.
"""

import email.policy
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from types import TracebackType
from typing import Any, Self

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from .smtp_conversation import DROP, controller

__all__ = ["DROP", "Mail", "Script", "SmtpSink", "accept"]

# aiosmtpd warns about every client that goes away, which some tests make it do on purpose.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message that was accepted."""

    number: int  # order of arrival, from 1
    connection: int  # which connection it came on, from 1
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    secured: bool  # by TLS
    username: str

    def parsed(self) -> EmailMessage:
        """The message as Python's parser reads it."""
        return BytesParser(EmailMessage, policy=email.policy.default).parsebytes(self.content)


# Called with "EHLO", "MAIL", "RCPT", "DATA" or "AUTH" and the argument; "" accepts, any other text is
# the reply, such as "450 4.2.1 try later".
Script = Callable[[str, str], str]


def accept(_command: str, _argument: str) -> str:
    """Take everything."""
    return ""


@dataclass(kw_only=True)
class SmtpSink:
    """A mail server in a thread on a free loopback port; a context manager, or `start`/`stop`.

    With a username, clients must log in, and over TLS where there is any.
    """

    ca: trustme.CA | None = None  # None: no TLS
    host: str = "localhost"
    implicit_tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)  # XOAUTH2: the one that is good; offered where there is one
    takes_utf8: bool = False
    pipelines: bool = False  # takes several commands at once, as Postfix does
    chunks: bool = False  # takes the text with its length told before, too
    script: Script = accept
    port: int = 0  # 0: a free one
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0

    def start(self) -> Self:
        """Listen, and serve in a thread from now on."""
        self._arrived = threading.Condition()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        context = None
        if self.ca is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ca.issue_cert(self.host).configure_cert(context)
        self._controller = controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            listener=listener,
            ssl_context=context if self.implicit_tls else None,
            tls_context=None if self.implicit_tls else context,
            require_starttls=context is not None and not self.implicit_tls,
            auth_require_tls=context is not None and not self.implicit_tls,
            authenticator=self._authenticate,
            decode_data=False,
            enable_SMTPUTF8=self.takes_utf8,
        )
        self._controller.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._controller.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def count(self) -> int:
        """How many messages were accepted."""
        return len(self.mails)

    def wait_for(self, count: int, timeout: float = 10.0) -> bool:
        """Whether so many messages were accepted, waiting for them up to `timeout` seconds."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.mails) >= count, timeout)

    def keep(self, connection: int, session: Session, envelope: Envelope) -> None:
        """Note an accepted message."""
        login = session.auth_data
        with self._arrived:
            self.mails.append(
                Mail(
                    number=len(self.mails) + 1,
                    connection=connection,
                    sender=envelope.mail_from or "",
                    recipients=tuple(envelope.rcpt_tos),
                    content=bytes(envelope.original_content or b""),
                    secured=session.ssl is not None or self.implicit_tls,
                    username=login.login.decode() if isinstance(login, LoginPassword) else "",
                )
            )
            self._arrived.notify_all()

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        if reply := self.script("AUTH", ""):
            return AuthResult(success=False, handled=False, message=reply)
        good = isinstance(data, LoginPassword) and data == LoginPassword(
            self.username.encode(), self.password.encode()
        )
        return AuthResult(success=good, handled=False, auth_data=data if good else None)
