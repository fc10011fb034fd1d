"""The keys that `manage.py up` generates once and keeps under var/keys, readable by their owner only."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet

_MAKERS: dict[str, Callable[[], str]] = {
    "secret_key": lambda: secrets.token_urlsafe(50),
    "secrets_key": lambda: Fernet.generate_key().decode(),
}


def stored(var_dir: Path, name: str) -> str:
    """Return the kept key of that name, or an empty string where none was generated yet."""
    path = var_dir / "keys" / name
    return path.read_text().strip() if path.exists() else ""


def ensure(var_dir: Path) -> None:
    """Generate the keys that are missing; a key that exists is never replaced."""
    folder = var_dir / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, make in _MAKERS.items():
        if not (folder / name).exists():
            _keep(folder / name, make())


def _keep(path: Path, key: str) -> None:
    """Write the key in one step: whoever sees the file sees all of it, and the first to come wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
