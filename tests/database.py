"""Give the run its settings before Django reads them: keys of its own, and a database server of its own.

TEST_DATABASE_URL names another PostgreSQL; without it the run starts an embedded one in a new folder, from the
binaries in TEST_POSTGRES_HOME if that is set, and deletes it at the end. Child processes of tests find both
through the environment.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from project import embedded

# What a test run writes, nobody needs after a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_PREFIX = "bellwether-run-"
_started: list[Path] = []


def begin() -> None:
    """Set the environment; tests/conftest.py calls it while it is imported, before Django is set up."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    # Processes of the product compile it once, not each one anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    (embedded.BASE_DIR / "var" / "static").mkdir(parents=True, exist_ok=True)
    os.environ["SECRET_KEY"] = "for-tests-only-" + "x" * 50
    os.environ["SECRETS_KEYS"] = Fernet.generate_key().decode()
    # project.E006 refuses such a server elsewhere.
    os.environ["DURABILITY_NOT_NEEDED"] = "1"
    if url := os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = url
        return
    _sweep()
    var_dir = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _started.append(var_dir)
    # However the run ends, after Ctrl-C too.
    atexit.register(_stop)
    try:
        embedded.join(var_dir, options=_FAST, install=_binaries())
    except embedded.EmbeddedPostgresError as error:
        raise pytest.UsageError(f"{error}\nFor tests, set TEST_DATABASE_URL.") from None
    os.environ["DATABASE_URL"] = embedded.database_url(var_dir)


def _binaries() -> Path | None:
    home = os.environ.get("TEST_POSTGRES_HOME")
    return Path(home) if home else None


def _stop() -> None:
    while _started:
        var_dir = _started.pop()
        embedded.discard(var_dir)
        shutil.rmtree(var_dir)


def _sweep() -> None:
    """Delete what killed runs left; their servers stopped by themselves."""
    for var_dir in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, embedded.EmbeddedPostgresError):
            ours = var_dir.stat().st_uid == os.getuid()
            if ours and time.time() - var_dir.stat().st_mtime > 60 and not embedded.is_used(var_dir):
                embedded.discard(var_dir)
                shutil.rmtree(var_dir)
