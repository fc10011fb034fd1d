"""Two real processes with one refresh token, at a token server that replaces it and revokes all on reuse."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from notifications.sinks.https_sink import HttpsSink
from smtpprofiles import oauth, rotation
from smtpprofiles.models import SmtpProfile
from smtpprofiles.oauth import TokenUnavailable
from tests import processes
from tests.factories import SmtpProfileFactory
from tests.token_server import CLIENT_ID, CLIENT_SECRET, TOKEN_HOST, TOKEN_URL, TokenServer, problem

# What a worker does each time that its token has run out.
FETCHER = """
import sys, django
django.setup()
from smtpprofiles import oauth, rotation
from smtpprofiles.models import SmtpProfile
grant = SmtpProfile.objects.earliest("id").account().grant
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    token = oauth.access_token(grant, deadline_seconds=20, on_new_refresh_token=rotation.noting(grant.owner))
    print(token, flush=True)
    oauth.forget(grant, token)
print("left", rotation.take(), flush=True)
"""


class StrictServer(TokenServer):
    """It is slow, and takes a refresh token that comes a second time for stolen."""

    slow = 0.05
    is_revoked = False
    turns = 0
    most_at_once = 0

    def answer(self, request):
        self.turns += 1
        self.most_at_once = max(self.most_at_once, self.turns)
        time.sleep(self.slow)
        answer = super().answer(request)
        self.turns -= 1
        if answer[0] == 400:
            self.is_revoked, self.refresh_token = True, "nobody's"
        return answer


@pytest.fixture
def server(ca, ca_bundle, settings, transactional_db) -> Iterator[StrictServer]:
    server = StrictServer(rotates=True)
    with HttpsSink(ca=ca, hosts=[TOKEN_HOST], script=server.answer) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [sink.connect_to(TOKEN_HOST)]
        SmtpProfileFactory(
            authentication="refresh_token", oauth_token_url=TOKEN_URL, oauth_client_id=CLIENT_ID,
            oauth_client_secret=CLIENT_SECRET, oauth_refresh_token="refresh-0",
        )  # fmt: skip
        yield server
    rotation.take()


@contextmanager
def fetcher(times: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FETCHER, str(times)], cwd=processes.ROOT, env=processes.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def stored() -> str:
    return SmtpProfile.objects.get().oauth_refresh_token


def test_two_processes_use_a_refresh_token_in_turn(server):
    with fetcher(8) as first, fetcher(8) as second:
        said = []
        readers = [
            threading.Thread(target=lambda each=each: said.extend(each.communicate("go\n", timeout=60)[0].split("\n")))
            for each in (first, second)
        ]  # fmt: skip
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert (server.is_revoked, len(server.asked), server.most_at_once) == (False, 16, 1)
    assert sorted(said) == sorted([*server.given, "left {}", "left {}", "", ""])
    assert stored() == server.refresh_token == "refresh-16"


def test_a_process_that_dies_in_its_turn_holds_up_nobody(server):
    server.slow = 1.0
    with fetcher(1) as first, fetcher(1) as second:
        first.stdin.write("go\n")
        first.stdin.flush()
        while not server.turns:
            time.sleep(0.01)
        second.stdin.write("go\n")
        second.stdin.flush()
        first.kill()
        # What it asked for is not given to anybody.
        server.fault = lambda _: problem(503, "slow_down") if len(server.asked) == 1 else None
        lines = second.communicate(timeout=60)[0].split("\n")
    assert (len(server.asked), server.is_revoked, lines[0]) == (2, False, "token-1")
    assert stored() == "refresh-1"


def test_what_is_stored_meanwhile_is_used_and_an_edit_is_not_written_over(server):
    grant = SmtpProfile.objects.get().account().grant
    server.refresh_token = "entered-by-a-person"
    SmtpProfile.objects.update(oauth_refresh_token="entered-by-a-person")
    assert oauth.access_token(grant, deadline_seconds=5) == "token-1"
    assert (server.asked[0]["refresh_token"], stored()) == ("entered-by-a-person", "refresh-1")

    def edit(_form):
        SmtpProfile.objects.update(oauth_refresh_token="another")
        connection.close()  # that of the server's thread

    oauth.forget(grant, "token-1")
    server.fault = edit
    assert oauth.access_token(grant, deadline_seconds=5) == "token-2"
    assert stored() == "another"


def test_other_profiles_do_not_wait_and_a_long_turn_is_not_waited_for(server):
    one = SmtpProfile.objects.get().account().grant
    other = SmtpProfileFactory(
        is_default=False, authentication="refresh_token", oauth_token_url=TOKEN_URL, oauth_client_id=CLIENT_ID,
        oauth_client_secret=CLIENT_SECRET, oauth_refresh_token="refresh-0",
    ).account().grant  # fmt: skip
    server.slow, server.rotates = 2.0, False
    with fetcher(1) as process:
        process.stdin.write("go\n")
        process.stdin.flush()
        while not server.turns:
            time.sleep(0.01)
        server.slow = 0.0
        assert oauth.access_token(other, deadline_seconds=5) == "token-1"
        with pytest.raises(TokenUnavailable, match="another process is fetching one for this profile"):
            oauth.access_token(one, deadline_seconds=0.2)
