"""The supervisor and its shim, with real processes, real signals and real kills."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from project import supervise_logs
from project.listen import NoPortError, listen
from project.supervise import BASE_DIR, Child, Supervisor

pytestmark = pytest.mark.timeout(60)

# A main process with a grandchild, each of which says who it is: like a cluster and its worker.
FAMILY = """
import os, signal, sys, time
def say(line):  # In one piece: both write to the same file.
    os.write(1, (line + chr(10)).encode())
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: say("worker got SIGTERM"))
    say(f"worker {{os.getpid()}}")
    while True:
        time.sleep(1)
{handler}
say(f"main {{os.getpid()}}")
while True:
    time.sleep(0.05)
"""
POLITE = "signal.signal(signal.SIGTERM, lambda *_: (say('goodbye'), sys.exit(0)))"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def family(handler: str, *, name: str = "cluster", grace: float = 5.0) -> Child:
    return Child(name=name, command=(sys.executable, "-c", FAMILY.format(handler=handler)), grace=grace)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(log_dir=tmp_path, say=said.append) as running:
        yield running


def output(supervisor: Supervisor, name: str = "cluster") -> list[str]:
    return supervisor.log(name).read_text().splitlines()


def pids(supervisor: Supervisor, name: str = "cluster") -> dict[str, int]:
    """Return the latest process ids that the family wrote."""
    words = [line.split() for line in output(supervisor, name)]
    return {who[0]: int(who[1]) for who in words if len(who) == 2 and who[0] in ("main", "worker")}


def up(supervisor: Supervisor, name: str = "cluster") -> bool:
    return supervisor.log(name).exists() and len(pids(supervisor, name)) == 2


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_stop_reaches_the_main_process_only_and_leaves_nothing_behind(supervisor: Supervisor) -> None:
    supervisor.start(family(POLITE))
    supervisor.watch(until=lambda: up(supervisor))
    running = pids(supervisor)

    supervisor.stop()

    assert not any(map(alive, running.values()))
    assert output(supervisor).count("goodbye") == 1
    assert "worker got SIGTERM" not in output(supervisor)


def test_a_child_that_does_not_stop_is_killed_after_its_grace(supervisor: Supervisor) -> None:
    supervisor.start(family(STUBBORN, grace=0.5))
    supervisor.watch(until=lambda: up(supervisor))
    running = pids(supervisor)
    begun = time.monotonic()

    supervisor.stop()

    assert 0.5 <= time.monotonic() - begun < 3
    assert not any(map(alive, running.values()))


def test_children_stop_at_the_same_time(supervisor: Supervisor) -> None:
    names = ["one", "two", "three"]
    for name in names:
        supervisor.start(family(STUBBORN, name=name, grace=1.0))
    supervisor.watch(until=lambda: all(up(supervisor, name) for name in names))
    begun = time.monotonic()

    supervisor.stop()

    assert time.monotonic() - begun < 2.5


def test_a_killed_main_process_takes_its_orphans_along_and_is_started_again(
    supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start(family(POLITE))
    supervisor.watch(until=lambda: up(supervisor))
    first = pids(supervisor)

    os.kill(first["main"], signal.SIGKILL)
    supervisor.watch(until=lambda: set(pids(supervisor).values()).isdisjoint(first.values()))

    assert not any(map(alive, first.values()))
    assert all(map(alive, pids(supervisor).values()))
    assert said[0] == "cluster ended with status 137, and starts again in 1 s."


def test_a_child_that_keeps_dying_waits_longer_each_time(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Child(name="faulty", command=(sys.executable, "-c", "raise SystemExit('no luck')")))

    supervisor.watch(until=lambda: sum(line.startswith("faulty ended") for line in said) == 3)

    assert [line for line in said if line.startswith("faulty ended")] == [
        f"faulty ended with status 1, and starts again in {pause} s." for pause in (1, 2, 4)
    ]
    assert "  no luck" in said


def test_a_restart_replaces_the_processes(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(family(POLITE))
    supervisor.watch(until=lambda: up(supervisor))
    first = pids(supervisor)

    supervisor.restart("cluster")
    supervisor.watch(until=lambda: set(pids(supervisor).values()).isdisjoint(first.values()))

    assert not any(map(alive, first.values()))
    assert said == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_watch(supervisor: Supervisor, signum: signal.Signals) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signum)).start()

    assert supervisor.watch() is False
    assert supervisor.stopping


def test_a_second_ctrl_c_kills_at_once(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(family(STUBBORN, grace=30))
    supervisor.watch(until=lambda: up(supervisor))
    running = pids(supervisor)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    supervisor.watch()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()

    supervisor.stop()

    assert time.monotonic() - begun < 3
    assert not any(map(alive, running.values()))
    assert said == ["Killing what is left."]


SUPERVISED = """
import sys
from pathlib import Path
from project.supervise import Child, Supervisor
command = (sys.executable, "-c", sys.argv[2])
with Supervisor(log_dir=Path(sys.argv[1]), say=print) as supervisor:
    supervisor.start(Child(name="cluster", command=command, grace=1.0))
    supervisor.watch()
"""


@pytest.mark.parametrize("handler", [POLITE, STUBBORN])
def test_nothing_survives_a_killed_supervisor(tmp_path: Path, handler: str) -> None:
    reader = Supervisor(log_dir=tmp_path, say=print)
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(tmp_path), FAMILY.format(handler=handler)], cwd=BASE_DIR
    ) as process:
        wait_until(lambda: up(reader))
        running = pids(reader)
        process.kill()

    wait_until(lambda: not any(map(alive, running.values())), seconds=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_shim_takes_its_main_process_along(supervisor: Supervisor, said: list[str]) -> None:
    command = (sys.executable, "-c", "import os, time; print(os.getppid(), flush=True); time.sleep(60)")
    supervisor.start(Child(name="cluster", command=command))
    supervisor.watch(until=lambda: bool(supervisor.log("cluster").read_text()))
    shim = int(output(supervisor)[0])

    os.kill(shim, signal.SIGKILL)
    supervisor.watch(until=lambda: len(output(supervisor)) == 2)

    assert said[0] == "cluster ended with status -9, and starts again in 1 s."


def test_a_child_inherits_the_sockets_it_is_given_and_no_other(supervisor: Supervisor) -> None:
    with listen("127.0.0.1", 18400) as given, listen("127.0.0.1", 18400) as kept:
        os.set_inheritable(kept.fileno(), False)
        script = f"import os; os.fstat({given.fileno()}); print('given'); os.fstat({kept.fileno()})"
        supervisor.start(
            Child(name="web", command=(sys.executable, "-c", script), inherits=(given.fileno(),), grace=1)
        )
        supervisor.watch(until=lambda: "Bad file descriptor" in supervisor.log("web").read_text())

    assert output(supervisor, "web")[-1] == "OSError: [Errno 9] Bad file descriptor"


def test_a_log_that_outgrew_its_limit_is_moved_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    descriptor = supervise_logs.open_log(path)
    os.write(descriptor, b"old" * 10)

    supervise_logs.bound(path, limit=20)
    os.write(descriptor, b"new")
    os.close(descriptor)

    assert path.read_text() == "new"
    assert path.with_name("web.log.1").read_text() == "old" * 10
    assert path.stat().st_mode & 0o077 == 0


def test_a_taken_port_gives_the_next_free_one() -> None:
    with listen("127.0.0.1", 18500) as first:
        first.listen()
        wanted = first.getsockname()[1]
        with listen("127.0.0.1", wanted) as second:
            assert wanted < second.getsockname()[1] < wanted + 20


def test_a_port_taken_on_every_address_counts_as_taken() -> None:
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        wanted = everywhere.getsockname()[1]
        with listen("127.0.0.1", wanted) as second:
            assert second.getsockname()[1] != wanted


def test_an_address_of_another_machine_is_refused_with_a_reason() -> None:
    with pytest.raises(NoPortError, match=r"192\.0\.2\.1 port 8000"):
        listen("192.0.2.1", 8000)
