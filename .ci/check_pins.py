"""Fail unless every package that uv resolves is pinned exactly in pyproject.toml, and nothing else is.

`python .ci/check_pins.py` compares uv.lock, freshly resolved, with the pins; `--write` rewrites the
constraint list. The lock file itself is never committed: it would name registry hosts.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"


def direct(project: dict) -> dict[str, str]:
    """Return the pins of direct dependencies, by normalised name."""
    listed = list(project["project"]["dependencies"])
    for group in project["dependency-groups"].values():
        listed += group
    pins = {}
    for requirement in listed:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", requirement)
        if not match:
            sys.exit(f"check_pins: {requirement!r} is not pinned with ==.")
        pins[normal(match[1])] = match[2]
    return pins


def normal(name: str) -> str:
    """Normalise a name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolved() -> dict[str, str]:
    """Return what uv resolves for every supported platform and Python."""
    subprocess.run(["uv", "lock", "--quiet"], cwd=ROOT, check=True)  # noqa: S607
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return {
        normal(package["name"]): package["version"]
        for package in lock["package"]
        if "virtual" not in package.get("source", {})
    }


def main() -> None:
    """Compare, or write."""
    text = PYPROJECT.read_text()
    project = tomllib.loads(text)
    pins = direct(project)
    found = resolved()
    transitive = [f"{name}=={version}" for name, version in sorted(found.items()) if name not in pins]
    if "--write" in sys.argv:
        listing = "".join(f'    "{pin}",\n' for pin in transitive)
        text = re.sub(
            r"constraint-dependencies = \[\n(?:    .*\n)*\]", f"constraint-dependencies = [\n{listing}]", text
        )
        PYPROJECT.write_text(text)
        return
    constrained = project["tool"]["uv"]["constraint-dependencies"]
    wrong = [
        f"{name}: pinned {pins[name]}, resolved {found.get(name)}"
        for name in pins
        if found.get(name) != pins[name]
    ]
    wrong += [f"{pin}: resolved, not pinned" for pin in transitive if pin not in constrained]
    wrong += [f"{pin}: pinned, not resolved" for pin in constrained if pin not in transitive]
    if wrong:
        sys.exit("check_pins: run `python .ci/check_pins.py --write`.\n" + "\n".join(wrong))
    sys.stdout.write(f"{len(pins)} direct and {len(transitive)} transitive pins hold.\n")


if __name__ == "__main__":
    main()
