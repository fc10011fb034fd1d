"""The receiver that benches send to: nginx where it is installed, else a multi-process one of ours."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import trustme

HOST = "receiver.bench.test"

_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log crit; worker_processes 1;
events {{ worker_connections 1024; }}
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
    """Where it listens, whom to trust, and which processes it is."""

    kind: str
    port: int
    ca_bundle: Path
    pid: int

    @property
    def connect_to(self) -> str:
        """The OUTBOUND_CONNECT_TO entry that leads to it."""
        return f"{HOST}:443=127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """How much processor time it has used."""
        process = psutil.Process(self.pid)
        return sum(sum(p.cpu_times()[:2]) for p in [process, *process.children(recursive=True)])


@contextmanager
def running() -> Iterator[Receiver]:
    """Run it for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        ca = trustme.CA()
        certificate = ca.issue_cert(HOST)
        ca.cert_pem.write_to_path(folder / "ca.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        nginx = shutil.which("nginx")
        if nginx:
            configuration = folder / "nginx.conf"
            configuration.write_text(_NGINX.format(folder=folder, port=port))
            command = [nginx, "-c", str(configuration), "-e", str(folder / "error.log")]
        else:
            command = [sys.executable, "-m", "tests.bench.receiver", str(port), name]
        with subprocess.Popen(command) as process:
            try:
                _wait_for(port)
                yield Receiver(
                    kind="nginx" if nginx else "asyncio",
                    port=port,
                    ca_bundle=folder / "ca.pem",
                    pid=process.pid,
                )
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        import time

        time.sleep(0.05)
    raise RuntimeError("the bench receiver did not start")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        writer.close()


async def _main(port: int, folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    server = await asyncio.start_server(_serve, "127.0.0.1", port, ssl=context, reuse_port=True)
    await server.serve_forever()


if __name__ == "__main__":
    for _ in range(1):
        if os.fork() == 0:
            break
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
