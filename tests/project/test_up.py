"""`manage.py up` as a person runs it: a checkout of its own, real processes, real kills."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from project import embedded

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the product's processes through /proc"),
]

PARTS = ("manage.py", "pyproject.toml", "project", "events", "notifications", "smtpprofiles", "templates")
OWN_SETTINGS = {"DATABASE_URL", "SECRET_KEY", "SECRETS_KEYS", "BASE_URL"}


class Product:
    """One `up`, and what it has written so far."""

    def __init__(self, checkout: Path, number: int, *arguments: str) -> None:
        self.output = checkout / f"up.{number}.out"
        environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *arguments],
                cwd=checkout,
                env={**environment, "CHECKOUT_UNDER_TEST": str(checkout)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def port(self) -> int:
        found = re.search(r"console is at http://127\.0\.0\.1:(\d+)/admin/", self.output.read_text())
        assert found
        return int(found[1])

    def wait_until_ready(self) -> None:
        wait_until(lambda: "console is at" in self.output.read_text() or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.output.read_text()

    def wait_until_clusters_run(self, checkout: Path) -> None:
        logs = [checkout / "var" / "logs" / f"{name}.log" for name in ("delivery", "default")]
        wait_until(lambda: all(log.exists() and "] running." in log.read_text() for log in logs), 60)

    def login_status(self) -> int:
        """Return how the console answers to a request that needs the database."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            # An unknown session must be looked up.
            connection.request("GET", "/admin/", headers={"Cookie": f"sessionid={'x' * 32}"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def processes(checkout: Path) -> dict[int, str]:
    """Return everything that `up` started for this checkout, the database included."""
    data = (checkout / "var" / "postgres" / "data").resolve()
    mark = f"CHECKOUT_UNDER_TEST={checkout}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            ours = mark in (process / "environ").read_bytes().split(b"\0")
            if command and (ours or (process / "cwd").resolve() == data):
                found[int(process.name)] = command
        except OSError:
            continue
    return found


def wait_until_ended(checkout: Path, pid: int) -> None:
    wait_until(lambda: pid not in processes(checkout), 10)


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """A checkout in `folder`, of which nothing is left running at the end."""
    folder.mkdir()
    for part in PARTS:
        source = embedded.BASE_DIR / part
        if source.is_dir():
            shutil.copytree(source, folder / part)
        else:
            shutil.copy2(source, folder / part)
    yield folder
    deadline = time.monotonic() + 30
    while (left := processes(folder)) and time.monotonic() < deadline:
        for pid, command in left.items():
            if "project.keeper" not in command and "postgres" not in command:  # Those stop by themselves.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    embedded.discard(folder / "var")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    with copied(tmp_path / "checkout") as folder:
        yield folder


@pytest.fixture
def other_checkout(tmp_path: Path) -> Iterator[Path]:
    with copied(tmp_path / "other") as folder:
        yield folder


@pytest.fixture
def start(checkout: Path) -> Iterator[Callable[..., Product]]:
    started: list[Product] = []

    def start(*arguments: str, folder: Path = checkout) -> Product:
        started.append(Product(folder, len(started), *arguments))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for product in started:
        product.process.kill()
        product.process.wait()


def test_a_first_start_shows_the_credentials_once_and_stops_without_a_trace(
    checkout: Path, start: Callable[..., Product]
) -> None:
    first = start("--port", "18600")
    first.wait_until_clusters_run(checkout)
    text = first.output.read_text()
    assert text.count("curl -X POST http://127.0.0.1:") == 1
    assert first.login_status() == 302
    for path in (checkout / "var" / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    first.process.send_signal(signal.SIGINT)

    assert first.process.wait(40) == 0
    assert processes(checkout) == {}

    second = start("--port", str(first.port))
    assert second.port == first.port
    assert "curl" not in second.output.read_text()

    second.process.terminate()

    assert second.process.wait(40) == 0
    assert processes(checkout) == {}


def test_a_product_of_another_checkout_takes_the_next_port(
    start: Callable[..., Product], other_checkout: Path
) -> None:
    first = start("--port", "18640")
    second = start("--port", str(first.port), folder=other_checkout)

    assert second.port != first.port
    assert f"Port {first.port} is taken" in second.output.read_text()
    assert (first.login_status(), second.login_status()) == (302, 302)


def test_a_second_product_of_the_same_checkout_is_refused_and_harms_nothing(
    checkout: Path, start: Callable[..., Product]
) -> None:
    first = start("--port", "18660")

    second = Product(checkout, 1, "--port", "18661")

    assert second.process.wait(30) == 1
    assert second.output.read_text().splitlines()[-1] == (
        f"CommandError: Bellwether already runs here (process {first.process.pid}); "
        "stop it first, or use another checkout."
    )
    assert first.login_status() == 302
    first.process.send_signal(signal.SIGINT)
    # As `uv run` may pass it on, after the terminal did.
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(40) == 0
    assert "Killing" not in first.output.read_text()


def test_a_killed_product_leaves_no_process_and_starts_again(
    checkout: Path, start: Callable[..., Product]
) -> None:
    first = start("--port", "18680")
    first.wait_until_clusters_run(checkout)

    first.process.kill()
    first.process.wait()

    wait_until(lambda: processes(checkout) == {}, 30)
    assert start("--port", str(first.port)).login_status() == 302


def test_the_product_goes_on_when_its_database_or_keeper_was_killed(
    checkout: Path, start: Callable[..., Product]
) -> None:
    product = start("--port", "18720")
    product.wait_until_clusters_run(checkout)
    for name in ("/bin/postgres -D", "project.keeper"):
        [victim] = [pid for pid, command in processes(checkout).items() if name in command]
        os.kill(victim, signal.SIGKILL)
        wait_until_ended(checkout, victim)

        wait_until(lambda: product.login_status() == 302, 30)

    product.process.terminate()
    assert product.process.wait(40) == 0
    assert processes(checkout) == {}
