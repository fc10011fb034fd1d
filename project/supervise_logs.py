"""Keep the output of a child process in a file of bounded size."""

import os
import shutil
from pathlib import Path

LIMIT = 10 * 1024 * 1024


def open_log(path: Path) -> int:
    """Return a descriptor that appends to the file, readable by its owner only; the caller closes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def bound(path: Path, limit: int = LIMIT) -> None:
    """Move a file that outgrew `limit` bytes to NAME.1, while its writers go on appending to it."""
    if not path.exists() or path.stat().st_size <= limit:
        return
    # Copied and cut, not renamed: the writers keep their descriptor. What they write in between is lost.
    older = path.with_name(f"{path.name}.1")
    shutil.copy2(path, older)
    os.truncate(path, 0)


def last_lines(path: Path, count: int = 10) -> list[str]:
    """Return the end of the file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read().decode(errors="replace").splitlines()[-count:]
