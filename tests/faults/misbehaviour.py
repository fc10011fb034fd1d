"""What hostile and broken receivers do instead of answering; each gets the connection after a whole request.

Each goes on until the client has had enough; the connection then ends.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable

Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_EVERY = 0.05  # seconds between the drops of a drip
_OK = b"HTTP/1.1 200 OK\r\n"


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    while await reader.read(65_536):
        pass


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Abort the connection, as a crashing receiver does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def drip_header(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with headers that never end, byte by byte."""
    await _send(writer, _OK + b"X-Drip: ")
    while True:
        await asyncio.sleep(_EVERY)
        await _send(writer, b"a")


async def drip_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200, and then with a body that never ends, byte by byte."""
    await _send(writer, _OK + b"Content-Length: 60000\r\n\r\n")
    while True:
        await asyncio.sleep(_EVERY)
        await _send(writer, b"a")


async def many_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 with headers that never end, as fast as they are taken."""
    await _send(writer, _OK)
    while True:
        await _send(writer, b"X-More: more\r\n" * 1000)


async def long_header(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 with one header that never ends, as fast as it is taken."""
    await _send(writer, _OK + b"X-Long: ")
    while True:
        await _send(writer, b"a" * 100_000)


async def chunk_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 in chunks that each say they have 2 GB, as fast as they are taken."""
    await _send(writer, _OK + b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n")
    while True:
        await _send(writer, b"a" * 100_000)


async def interim(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 103 Early Hints for ever."""
    while True:
        await _send(writer, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


async def proceed(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 100 Continue for ever."""
    while True:
        await _send(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


async def huge_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200, and then with 10 GB, as fast as they are taken."""
    await _send(writer, _OK + b"Content-Length: 10000000000\r\n\r\n")
    block = b"a" * 1_000_000
    for _ in range(10_000):
        await _send(writer, block)


async def gzip_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 with 50 KB that inflate to 50 MB."""
    bomb = await asyncio.to_thread(gzip.compress, bytes(50_000_000))
    await _send(writer, _OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)


async def metadata(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Redirect to where clouds keep the credentials of their machines."""
    target = b"http://169.254.169.254/latest/meta-data/"
    await _send(writer, b"HTTP/1.1 307 Go\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    # drain raises on a lost connection, but gives the loop no chance to notice the loss.
    await asyncio.sleep(0)
    await writer.drain()


# Not read at all: the receiver decides by the name in the TLS handshake, before any request.
NEVER_READS = "never_reads"
BY_NAME: dict[str, Misbehaviour] = {
    one.__name__: one
    for one in (
        hang,
        reset,
        drip_header,
        drip_body,
        interim,
        proceed,
        huge_body,
        gzip_bomb,
        metadata,
        many_headers,
        long_header,
        chunk_bomb,
    )
}
