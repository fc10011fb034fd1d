import os
import socket
import time
from pathlib import Path

import pytest

from smtpprofiles.deadline import Deadline


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_a_read_that_outlives_the_deadline_is_cut(pair):
    left, _ = pair
    start = time.monotonic()
    with Deadline(0.2) as deadline:
        deadline.watch(left)
        assert left.recv(1) == b""
        assert not deadline.finish()
    assert 0.15 < time.monotonic() - start < 0.5


def test_a_conversation_that_is_done_is_never_cut(pair):
    left, right = pair
    with Deadline(0.1) as deadline:
        deadline.watch(left)
    assert deadline.finish()
    time.sleep(0.25)
    right.sendall(b"x")
    assert left.recv(1) == b"x"


def test_a_socket_watched_after_the_cut_is_shut_at_once(pair):
    left, _ = pair
    with Deadline(0.05) as deadline:
        time.sleep(0.2)
        deadline.watch(left)
        assert left.recv(1) == b""


def test_each_of_several_deadlines_is_kept():
    pairs = [socket.socketpair() for _ in range(4)]
    start = time.monotonic()
    deadlines = [Deadline(seconds) for seconds in (0.4, 0.1, 0.3, 0.2)]
    ends = []
    for deadline, (left, _) in zip(deadlines, pairs, strict=True):
        deadline.__enter__()
        deadline.watch(left)
    for index in (1, 3, 2, 0):
        pairs[index][0].recv(1)
        ends.append(round(time.monotonic() - start, 1))
        deadlines[index].finish()
    assert ends == [0.1, 0.2, 0.3, 0.4]
    for left, right in pairs:
        left.close()
        right.close()


def test_no_descriptor_is_left_behind(pair):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        with Deadline(5) as deadline:
            deadline.watch(pair[0])
            deadline.watch(pair[1])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_has_a_watchdog_of_its_own(pair):
    with Deadline(5):
        child = os.fork()
    if child == 0:
        with Deadline(0.1) as deadline:
            deadline.watch(pair[0])
            pair[0].settimeout(2)
            try:
                cut = pair[0].recv(1) == b""
            except OSError:
                cut = False
        os._exit(0 if cut else 1)
    assert os.waitpid(child, 0)[1] == 0
