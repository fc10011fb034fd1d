"""What the mail server on this machine says, on each of its connections."""

import asyncio
import base64
import socket
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from smtpprofiles.trail import xoauth2

DROP = "DROP"  # as a script's answer: the connection is cut instead


def controller(sink: Any, **options: Any) -> "_Controller":
    """Return what serves a SmtpSink, on the socket that is its `listener`; other options are aiosmtpd's."""
    return _Controller(_HandlerOfTokens(sink) if sink.token else _Handler(sink), **options)


class _Conversation(SMTP):
    """One connection, known to its controller while it lasts."""

    def __init__(self, handler: Any, live: set[Any], **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self._live = live
        self.number = 0  # given at the first EHLO; the session is a new one after STARTTLS
        self._chunks = bytearray()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._live.add(self)

    def abort(self) -> None:
        """Cut the connection without a word."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.abort()

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's names, here and below
        """Take the text in chunks whose length is told (RFC 3030)."""
        size, _, last = (arg or "").partition(" ")
        if not size.isdecimal():
            await self.push("501 5.5.4 BDAT needs a length")
            return
        self._chunks += await self._reader.readexactly(int(size))  # refused, it is passed over
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            self._chunks.clear()
            await self.push("503 5.5.1 need RCPT command")
        elif last.upper() != "LAST":
            await self.push(f"250 2.0.0 {size} octets received")
        else:
            self.envelope.content = self.envelope.original_content = bytes(self._chunks)
            self._chunks.clear()
            status = await self._call_handler_hook("DATA")
            self._set_post_data_state()  # type: ignore[no-untyped-call]
            await self.push(status)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._live.discard(self)


class _Handler:
    """Answers by the sink's script."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    async def handle_EHLO(  # noqa: N802
        self, server: _Conversation, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        if not server.number:
            self._sink.connections += 1
            server.number = self._sink.connections
        session.host_name = hostname
        # The first line is the server's name.
        replies[1:1] = ["250-PIPELINING"] * self._sink.pipelines + ["250-CHUNKING"] * self._sink.chunks
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
        reply: str = await asyncio.to_thread(self._sink.script, command, argument)
        if reply == DROP:
            server.abort()
            await asyncio.sleep(3600)  # cancelled as the connection ends
        return reply


class _HandlerOfTokens(_Handler):
    """Takes an access token in a password's place."""

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
