"""What systemd is told, over a socket like its own."""

import socket
from pathlib import Path

import pytest

from project import systemd


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_state_reaches_whoever_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:] if is_abstract else name)
        assert systemd.tell("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "nonsense", "/nobody/listens/here"])
def test_nobody_to_tell_is_no_trouble(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.tell("WATCHDOG=1")
