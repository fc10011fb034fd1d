"""The receiver of the throughput benches: nginx where it is installed, else several processes of ours. Answers 204."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import trustme

from tests.bench import spending
from tests.bench.children import started

DOMAIN = "example.test"
_PROCESSES = 2
_PATIENCE = 10.0

_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000; client_body_buffer_size 256k;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; location / {{ return 204; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where it listens, whom to trust, and which process it is."""

    kind: str
    port: int
    ca_bundle: Path
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What leads workers to it."""
        return {"OUTBOUND_CONNECT_TO": connect_to(self.port, 16), "OUTBOUND_CA_BUNDLE": str(self.ca_bundle)}

    def cpu_seconds(self) -> float:
        """How much processor time it has used."""
        return spending.of_tree(psutil.Process(self.pid))


def host(number: int) -> str:
    """The host name of an endpoint."""
    return f"r{number}.{DOMAIN}"


def connect_to(port: int, hosts: int) -> str:
    """The OUTBOUND_CONNECT_TO that leads so many hosts to one port of this machine."""
    return ",".join(f"{host(number)}:443=127.0.0.1:{port}" for number in range(hosts))


def certified(folder: Path) -> Path:
    """Write the keys of a receiver into the folder; return the CA to trust."""
    ca = trustme.CA()
    certificate = ca.issue_cert(f"*.{DOMAIN}", "localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return folder / "ca.pem"


def server_context(folder: Path) -> ssl.SSLContext:
    """The TLS of a receiver of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


@contextmanager
def running(folder: Path) -> Iterator[Receiver]:
    """Run it for as long as the block lasts."""
    place = folder / "receiver"
    place.mkdir(mode=0o755)
    ca_bundle = certified(place)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    if nginx := shutil.which("nginx"):
        configuration = place / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=place, port=port))
        command = [nginx, "-c", str(configuration), "-e", str(place / "error.log")]
    else:
        command = [sys.executable, "-m", "tests.bench.receiver", str(port), str(place)]
    with started(command, log=folder / "receiver.log") as process:
        wait_for(port, process)
        kind = "nginx" if nginx else f"{_PROCESSES} asyncio processes"
        yield Receiver(kind=kind, port=port, ca_bundle=ca_bundle, pid=process.pid)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once something listens there; raise if the process ends, or takes too long."""
    gives_up = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > gives_up:
            raise RuntimeError("the receiver did not start")
        time.sleep(0.05)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(content_length(head))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        writer.close()


def content_length(head: bytes) -> int:
    """How many bytes follow a request's head."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def _main(port: int, folder: Path) -> None:
    server = await asyncio.start_server(
        _serve, "127.0.0.1", port, ssl=server_context(folder), reuse_port=True, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    for _ in range(_PROCESSES - 1):
        if os.fork() == 0:
            break
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
