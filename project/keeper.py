"""Run the embedded PostgreSQL for as long as somebody uses it: `python -m project.keeper SPECIFICATION`.

`project.embedded` starts it, detached from whoever happened to come first.

1. Users are counted by the kernel: each holds a shared lock on users.lock until it ends, however it ends.
   Twice a second the keeper tries to lock it alone; where that works nobody is left: it stops the server.
2. It tries only while it holds start.lock, which `join` holds too: nobody joins a server that is stopping.
3. It starts a server that died again. Should the keeper itself be killed, the kernel stops the server.
4. As root it opens what it needs, then becomes the unprivileged user for good.
"""

import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from project import keeper_remnants
from project.lifeline import die_with_parent

_TICK = 0.5
_LOG_LIMIT = 20 * 1024 * 1024
_MAX_FAILURES = 5
# A server that ran this many seconds was healthy; earlier failures are forgotten.
_HEALTHY_AFTER = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


@dataclass(frozen=True, kw_only=True)
class Specification:
    """What `project.embedded` asks for, as paths and names; `account` is empty unless we are root."""

    install: str
    home: str
    socket: str
    locks: str
    log: str
    account: str
    options: dict[str, str]


class Keeper:
    """One server and its users; `run` returns the keeper's exit status."""

    def __init__(self, spec: Specification, password: str) -> None:
        locks = Path(spec.locks)
        self.spec = spec
        self.password = password
        self.data = Path(spec.home) / "data"
        self.bin = Path(spec.install) / "bin"
        self.stopping = False
        self.failures = 0
        self.own_lock = _open(locks / "keeper.lock")
        # Whoever asks whether a keeper runs holds it for an instant.
        deadline = time.monotonic() + 5
        while not _lock(self.own_lock):
            if time.monotonic() > deadline:
                sys.exit("Another keeper runs already.")
            time.sleep(0.01)
        self.start_lock = _open(locks / "start.lock")
        self.users_lock = _open(locks / "users.lock")
        log = Path(spec.log)
        if log.exists() and log.stat().st_size > _LOG_LIMIT // 4:
            log.replace(log.with_name(f"{log.name}.1"))
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def detach(self) -> None:
        """Leave the session and, as root, the privileges of whoever started us."""
        if os.fork():
            os._exit(0)  # The starter waits for this: from here on the child holds keeper.lock.
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for source, target in ((null, 0), (self.log, 1), (self.log, 2)):
            os.dup2(source, target)
        if self.spec.account:
            account = pwd.getpwnam(self.spec.account)
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        os.chdir(self.spec.home)
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> int:
        """Keep the server up until nobody uses it (0) or it cannot be kept (1)."""
        if not self.data.exists() and not self._initialise():
            return 1
        while not self._idle(0):
            if ended := keeper_remnants.clear(self.data, Path(self.spec.socket)):
                _say(f"ended processes of an earlier server: {ended}")
            server = self._start()
            started = time.monotonic()
            while server.poll() is None:
                if self._idle(_TICK):
                    _stop(server)
                    return 0
            if time.monotonic() - started > _HEALTHY_AFTER:
                self.failures = 0
            self.failures += 1
            _say(f"PostgreSQL ended with status {server.returncode}, failure {self.failures} in a row")
            if self.failures >= _MAX_FAILURES:
                _say("giving up: the lines above say why; the next start of the product tries again")
                return 1
            if self._idle(0.1 * 2**self.failures):
                return 0
        return 0

    def _idle(self, seconds: float) -> bool:
        """Wait, and say whether it is time to go: nobody uses the server, or SIGTERM came."""
        end = time.monotonic() + seconds
        while True:
            if self.stopping or os.fstat(self.users_lock).st_nlink == 0 or self._alone():
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _TICK))
            if os.fstat(self.log).st_size > _LOG_LIMIT:
                os.ftruncate(self.log, 0)

    def _alone(self) -> bool:
        """Whether no user is left; if so, both locks are kept until we end, and newcomers wait."""
        if not _lock(self.start_lock):
            return False
        if _lock(self.users_lock):
            return True
        fcntl.flock(self.start_lock, fcntl.LOCK_UN)
        return False

    def _ask_to_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _locale(self) -> list[str]:
        """Return initdb's arguments for sorting by code point, which no library update changes."""
        version = subprocess.run(  # noqa: S603
            [str(self.bin / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        if int(version.split()[2].split(".")[0]) < 17:  # PostgreSQL 17 brought a locale of its own.
            return ["--locale=C.UTF-8"]
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]

    def _initialise(self) -> bool:
        """Make the data folder in one step: it is whole, or it is not there."""
        draft = self.data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        secret = self.data.with_name("password.new")
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password)
        arguments = [
            "--username=postgres", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--no-instructions", *self._locale(),
        ]  # fmt: skip
        if self.spec.options.get("fsync") == "off":
            arguments.append("--no-sync")
        command = [str(self.bin / "initdb"), "-D", str(draft), *arguments]
        made = subprocess.run(command, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        secret.unlink()
        if made.returncode == 0:
            draft.rename(self.data)
        return made.returncode == 0

    def _start(self) -> subprocess.Popen[bytes]:
        socket = Path(self.spec.socket)
        socket.mkdir(mode=0o700, exist_ok=True)
        settings = {**_SETTINGS, "unix_socket_directories": _quoted(socket), **self.spec.options}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return subprocess.Popen(  # noqa: S603
            [self.bin / "postgres", "-D", self.data, *options],
            env=_ENVIRONMENT,
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509  The keeper has one thread.
        )


def main() -> None:
    """Read the specification from the arguments and the password from standard input."""
    keeper = Keeper(Specification(**json.loads(sys.argv[1])), sys.stdin.read())
    keeper.detach()
    sys.exit(keeper.run())


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop(server: subprocess.Popen[bytes]) -> None:
    for signum, patience in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None)):
        server.send_signal(signum)
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


def _quoted(path: Path) -> str:
    return '"{}"'.format(str(path).replace('"', '""'))


def _say(message: str) -> None:
    print(f"keeper: {message}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
