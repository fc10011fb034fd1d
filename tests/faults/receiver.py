"""The receiver's process: `python -m tests.faults.receiver`, driven by `tests.faults.ledger` over its input.

One JSON line in, one line out. Each request is in the file, and the file on disk, before its answer leaves.
It knows nothing of the product: no import of it, no database.
"""

import asyncio
import json
import os
import random
import ssl
import sys
import time
from collections import defaultdict
from typing import Any
from weakref import WeakKeyDictionary

from tests.faults.ledger import ANY, Rule
from tests.faults.misbehaviour import BY_NAME, NEVER_READS

_PATIENCE = 60.0  # seconds that a connection is kept unread


class Receiver:
    """One listening port, its rules and its file."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._file = os.open(configuration["ledger"], os.O_WRONLY | os.O_APPEND)
        self._rules: dict[str, Rule] = {}
        self._chances: dict[str, random.Random] = {}
        self._used: dict[str, int] = defaultdict(int)
        self.count = 0
        self._connections = 0
        self._names: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self._contexts = {host: _context(path) for host, path in configuration["certificates"].items()}
        self.context = self._contexts[""]
        self.context.sni_callback = self._greet

    def behave(self, rules: dict[str, dict[str, Any]]) -> None:
        """Follow these rules from now on."""
        for host, values in rules.items():
            rule = Rule(**values)
            if self._rules.get(host) != rule:
                self._rules[host] = rule
                self._chances[host] = random.Random(rule.seed)
                self._used[host] = 0

    def _greet(self, handshake: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._names[handshake] = name or ""
        handshake.context = self._contexts.get(name or "", self.context)

    def _rule(self, host: str) -> tuple[str, Rule]:
        key = host if host in self._rules else ANY
        rule = self._rules.get(key, Rule())
        if rule.times is not None and self._used[key] >= rule.times:
            rule = Rule(keeps_body=rule.keeps_body)
        return key, rule

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._connections += 1
        connection = self._connections
        try:
            name = self._names.get(writer.get_extra_info("ssl_object"), "")
            if self._rule(name)[1].misbehaviour == NEVER_READS:
                await asyncio.sleep(_PATIENCE)
                return
            while await self._exchange(reader, writer, connection):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the client went away: its affair
        finally:
            writer.transport.abort()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        """Read one request, note it and answer it; return whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        key, rule = self._rule(headers.get("host", ""))
        self._used[key] += 1
        self.count += 1
        number, now = self.count, time.monotonic()
        entry = _entry(first.split(" ")[1], headers, body) | {
            "number": number,
            "connection": connection,
            "address": writer.get_extra_info("sockname")[0],
            "arrived": now,
            "wall": time.time(),
            "body": body.decode() if rule.keeps_body else "",
        }
        fails = rule.fail > 0 and self._chances[key].random() < rule.fail
        answer = rule.misbehaviour or str(rule.fail_status if fails else rule.status)
        if rule.delay:
            self._note(entry)
            await asyncio.sleep(rule.delay)
            self._note({"number": number, "answer": answer, "answered": time.monotonic()})
        else:
            self._note(entry | {"answer": answer, "answered": now})
        if rule.misbehaviour:
            await BY_NAME[rule.misbehaviour](reader, writer)
            return False
        writer.write(_answer(int(answer), rule))
        await writer.drain()
        return True

    def _note(self, entry: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")
        os.fsync(self._file)


def _context(path: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _entry(path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    number = headers.get("bellwether-sequence")
    return {
        "webhook_id": headers.get("webhook-id", ""),
        "event_id": json.loads(body)["id"],
        "host": headers.get("host", ""),
        "path": path,
        "lane": headers.get("bellwether-lane", ""),
        "sequence": int(number) if number else None,
        "previous": headers.get("bellwether-previous", ""),
        "skipped": headers.get("bellwether-skipped", ""),
        "timestamp": headers.get("webhook-timestamp", ""),
        "signature": headers.get("webhook-signature", ""),
    }


def _answer(status: int, rule: Rule) -> bytes:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{name}: {value}" for name, value in rule.headers.items())]
    if status not in (204, 304):
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _main() -> None:
    loop = asyncio.get_running_loop()
    questions = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    configuration = json.loads(await questions.readline())
    receiver = Receiver(configuration)
    server = await asyncio.start_server(
        receiver.serve, configuration["bind"], configuration["port"], ssl=receiver.context, backlog=1024
    )
    _reply(str(server.sockets[0].getsockname()[1]))
    while line := await questions.readline():
        question = json.loads(line)
        if "rules" in question:
            receiver.behave(question["rules"])
        _reply(str(receiver.count))
    # What still waits for an answer gets none.
    os._exit(0)


def _reply(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
