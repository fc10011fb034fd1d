"""Fail if a module has grown beyond about 250 lines, or a tracked file names this machine."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 265
APPS = ("events", "notifications", "project", "smtpprofiles")
# Paths of one machine and addresses of package registries have no place in the repository.
LOCAL = re.compile(re.escape(bytes(ROOT)) + rb"|/root/|/home/[a-z]|registry\s*=\s*.?http|index-url")


def main() -> None:
    """Look at every tracked file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)  # noqa: S607
    wrong = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or name == ".ci/check_shape.py":
            continue
        content = path.read_bytes()
        if LOCAL.search(content):
            wrong.append(f"{name}: names a path of one machine or a registry")
        lines = content.count(b"\n")
        if name.startswith(APPS) and name.endswith(".py") and "/migrations/" not in name and lines > LONGEST:
            wrong.append(f"{name}: {lines} lines; cut it at about 250")
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write("Every module is short, and no file names this machine.\n")


if __name__ == "__main__":
    main()
