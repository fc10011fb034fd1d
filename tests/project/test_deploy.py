"""The sample units and the container: they stop the product as it has to be stopped."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from project import product, supervise
from project.embedded import BASE_DIR

DEPLOY = BASE_DIR / "docs" / "deploy"
# What `manage.py cluster` takes at most, from SIGTERM to its end.
LIMIT = max(child.grace for child in product.clusters("x", {})) + supervise._SHIM_MARGIN


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(DEPLOY / name)
    return found


@pytest.mark.parametrize("name", ["bellwether-web.service", "bellwether-cluster.service"])
def test_systemd_stops_the_main_process_first_and_starts_again_whatever_ends(name: str) -> None:
    service = unit(name)["Service"]
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "always"
    assert service["User"] != "root"
    assert unit(name)["Unit"]["PartOf"] == "bellwether.target"
    assert name in unit("bellwether.target")["Unit"]["Wants"]


def test_systemd_waits_longer_than_the_product_takes() -> None:
    assert int(unit("bellwether-cluster.service")["Service"]["TimeoutStopSec"]) > LIMIT
    web = unit("bellwether-web.service")["Service"]
    graceful = re.search(r"--graceful-timeout=(\d+)", web["ExecStart"])
    assert graceful
    assert int(web["TimeoutStopSec"]) > int(graceful[1])


def test_the_container_stops_and_is_looked_at_as_the_units_are() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    assert "STOPSIGNAL SIGTERM" in lines
    [user] = [line for line in lines if line.startswith("USER ")]
    assert user != "USER root"
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    assert json.loads(command) == ["python", "manage.py", "cluster"], "the exec form: no shell in between"
    [health] = [line for line in lines if line.startswith("HEALTHCHECK ")]
    assert json.loads(health[health.index("[") :]) == ["python", "manage.py", "health"]
    for source in (line.split()[1] for line in lines if line.startswith("COPY ")):
        assert (BASE_DIR / source).exists()


def test_compose_waits_longer_than_the_product_takes() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert int(services["cluster"]["stop_grace_period"].removesuffix("s")) > LIMIT
    assert "command" not in services["cluster"], "the image's own"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = []
    for path in [*sorted(DEPLOY.glob("bellwether*.service")), DEPLOY / "bellwether.target"]:
        # The program is not installed where this runs.
        text = re.sub(r"/opt/bellwether/\.venv/bin/\w+", "/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text)
        units.append(str(tmp_path / path.name))
    result = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
