"""The mail server of the bench: TLS from the start, takes everything, keeps nothing.

`python -m tests.bench.mail_server PORT FOLDER` serves until it is stopped. It says no more than a mail needs,
so that what is measured is who talks to it. It offers what Postfix does of that which saves round trips, and as
there what it answers waits until it has read all that has come.
"""

import asyncio
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

from tests.bench.children import started
from tests.bench.receiver import DOMAIN, Receiver, certified, server_context, wait_for

HOST, PORT = f"mail.{DOMAIN}", 465


@contextmanager
def serving(folder: Path) -> Iterator[Receiver]:
    """Run it for as long as the block lasts."""
    place = folder / "mail"
    place.mkdir(mode=0o755)
    ca_bundle = certified(place)
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.mail_server", str(port), str(place)]
    with started(command, log=folder / "mail.log") as process:
        wait_for(port, process)
        yield Receiver(kind="asyncio mail server", port=port, ca_bundle=ca_bundle, pid=process.pid)


def environment(server: Receiver) -> dict[str, str]:
    """What leads workers to it."""
    return {
        "OUTBOUND_CONNECT_TO": f"{HOST}:{PORT}=127.0.0.1:{server.port}",
        "OUTBOUND_CA_BUNDLE": str(server.ca_bundle),
    }


_EHLO = b"250-mail.example.test\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250 CHUNKING\r\n"


class _Conversation:
    """One connection: what has come and is not read, what was answered and is not sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._received = bytearray()
        self._answers = bytearray()

    async def serve(self) -> None:
        self._answers += b"220 mail.example.test ESMTP\r\n"
        has_recipient, verb = False, b""
        while verb != b"QUIT":
            line = await self._until(b"\r\n")
            verb, answer = line[:4].upper(), b"250 2.0.0 ok\r\n"
            if verb == b"EHLO":
                answer = _EHLO
            elif verb == b"RCPT":
                has_recipient = True
            elif verb == b"DATA" and has_recipient:
                self._answers += b"354 go on\r\n"
                await self._until(b"\r\n.\r\n")
                has_recipient = False
            elif verb == b"BDAT":
                await self._exactly(int(line.split()[1]))
                if has_recipient and line.upper().endswith(b" LAST\r\n"):
                    has_recipient = False
                elif not has_recipient:
                    answer = b"503 5.5.1 need RCPT\r\n"
            elif verb == b"DATA":
                answer = b"503 5.5.1 need RCPT\r\n"
            self._answers += answer
        self._flush()

    async def _until(self, end: bytes) -> bytes:
        while (found := self._received.find(end)) < 0:
            await self._more()
        return self._take(found + len(end))

    async def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._more()
        return self._take(size)

    async def _more(self) -> None:
        self._flush()
        more = await self._reader.read(65_536)
        if not more:
            raise ConnectionError("whoever sent has gone")
        self._received += more

    def _flush(self) -> None:
        if self._answers:
            self._writer.write(bytes(self._answers))
            self._answers.clear()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await _Conversation(reader, writer).serve()
    except (ConnectionError, ssl.SSLError):
        pass  # whoever sent has gone
    finally:
        writer.close()


async def _main(port: int, folder: Path) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, ssl=server_context(folder), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
