"""Give the run its settings before Django reads them: keys of its own, and a database server of its own.

TEST_DATABASE_URL names another PostgreSQL; without it the run starts an embedded
one in a new folder, and deletes it at the end. Child processes of tests find both through the environment.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from project import embedded

# What a test run writes, nobody needs after a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_started: list[Path] = []


def begin() -> None:
    """Set the environment; tests/conftest.py calls it while it is imported, before Django is set up."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    (embedded.BASE_DIR / "var" / "static").mkdir(parents=True, exist_ok=True)
    atexit.register(end)
    os.environ["SECRET_KEY"] = "for-tests-only-" + "x" * 50
    os.environ["SECRETS_KEYS"] = Fernet.generate_key().decode()
    if url := os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = url
        return
    var_dir = Path(tempfile.mkdtemp(prefix="bellwether-tests-"))
    _started.append(var_dir)
    try:
        embedded.join(var_dir, options=_FAST)
    except embedded.EmbeddedPostgresError as error:
        shutil.rmtree(var_dir)
        raise pytest.UsageError(f"{error}\nFor tests, set TEST_DATABASE_URL.") from None
    os.environ["DATABASE_URL"] = embedded.database_url(var_dir)


def end() -> None:
    """Stop the run's server and delete its data, after Ctrl-C and failed starts too."""
    while _started:
        var_dir = _started.pop()
        embedded.discard(var_dir)
        shutil.rmtree(var_dir)
