"""The mail server of the bench: TLS from the start, takes everything, keeps nothing.

`python -m tests.bench.mail_server PORT FOLDER` serves until it is stopped. It says no more than a mail needs,
so that what is measured is who talks to it.
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


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(b"220 mail.example.test ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(
                    b"250-mail.example.test\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n250 8BITMIME\r\n"
                )
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 2.0.0 queued\r\n")
            else:
                writer.write(b"250 2.0.0 ok\r\n")
            if verb == b"QUIT":
                break
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass  # whoever sent has gone
    finally:
        writer.close()


async def _main(port: int, folder: Path) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, ssl=server_context(folder), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
