"""A mail server on this machine: STARTTLS or TLS from the start, login, answers by script.

It needs the dependency group `demo` (aiosmtpd, trustme), and is imported only where one is wanted.
"""

import asyncio
import base64
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
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from smtpprofiles.trail import xoauth2

# aiosmtpd warns about every client that goes away, which some tests make it do on purpose.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

DROP = "DROP"  # as a script's answer: the connection is cut instead


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
    pipelines: bool = False
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
        self._controller = _Controller(
            _HandlerOfTokens(self) if self.token else _Handler(self),
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


class _Conversation(SMTP):
    """One connection, known to its controller while it lasts."""

    def __init__(self, handler: Any, live: set[Any], **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self._live = live
        self.number = 0  # given at the first EHLO; the session is a new one after STARTTLS

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._live.add(self)

    def abort(self) -> None:
        """Cut the connection without a word."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._live.discard(self)


class _Handler:
    def __init__(self, sink: SmtpSink) -> None:
        self._sink = sink

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names, here and below
        self, server: _Conversation, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        if not server.number:
            self._sink.connections += 1
            server.number = self._sink.connections
        session.host_name = hostname
        if self._sink.pipelines:
            replies.insert(0, "250-PIPELINING")
        return [refusal] if (refusal := await self._scripted(server, "EHLO", hostname)) else replies

    async def handle_MAIL(  # noqa: N802
        self, server: _Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        # Not aiosmtpd's auth_required: that one takes no notice of TLS from the start.
        if self._sink.username and not session.authenticated:
            return "530 5.7.0 authentication required"
        if refusal := await self._scripted(server, "MAIL", address):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(  # noqa: N802
        self, server: _Conversation, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := await self._scripted(server, "RCPT", address):
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server: _Conversation, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if refusal := await self._scripted(server, "DATA", ""):
            return refusal
        self._sink.keep(server.number, session, envelope)
        return f"250 2.0.0 queued as {self._sink.count}"

    async def _scripted(self, server: _Conversation, command: str, argument: str) -> str:
        # A script may stall: in a thread, so that it stalls its own connection only.
        reply = await asyncio.to_thread(self._sink.script, command, argument)
        if reply == DROP:
            server.abort()
            await asyncio.sleep(3600)  # cancelled as the connection ends
        return reply


class _HandlerOfTokens(_Handler):
    async def auth_XOAUTH2(self, server: _Conversation, args: list[str]) -> AuthResult:  # noqa: N802
        given = base64.b64decode(args[1]).decode()
        if refusal := await self._scripted(server, "AUTH", given):
            return AuthResult(success=False, handled=False, message=refusal)
        if given == xoauth2(self._sink.username, self._sink.token):
            login = LoginPassword(self._sink.username.encode(), b"")
            return AuthResult(success=True, handled=False, auth_data=login)
        await server.challenge_auth(b'{"status":"401","schemes":"bearer"}')
        return AuthResult(success=False, handled=False, message="535 5.7.8 Username and token not accepted")


class _Controller(Controller):
    """Serves a socket that is bound already: aiosmtpd cannot choose a free port itself."""

    def __init__(self, handler: Any, *, listener: socket.socket, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self._listener = listener
        self._live: set[_Conversation] = set()

    def factory(self) -> SMTP:
        return _Conversation(self.handler, self._live, **self.SMTP_kwargs)

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        super().stop(no_assert)

    async def _end(self) -> None:
        assert self.server is not None
        self.server.close()
        for conversation in list(self._live):
            conversation.abort()
        while self._live:
            await asyncio.sleep(0.001)
        # One more turn of the loop lets the transports below TLS close, too.
        await asyncio.sleep(0.01)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)
