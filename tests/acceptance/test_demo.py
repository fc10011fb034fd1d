"""`up --demo --check` as a newcomer runs it, and that its ledgers would notice what goes wrong."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from notifications.sinks.https_sink import Received
from notifications.sinks.smtp_sink import Mail
from project import embedded
from project.demo import remains
from project.demo.hooks import Callout, Hooks, disorder
from project.demo.mailbox import Arrival, Letterhead, incomplete
from project.demo.webhooks import ENDPOINTS, ensure_endpoints
from tests.factories import SubscriberFactory

PARTS = ("manage.py", "pyproject.toml", "project", "events", "notifications", "smtpprofiles", "templates")
# The run's own database and keys: the demo makes its own, as on a new machine.
OWN_SETTINGS = {"DATABASE_URL", "SECRET_KEY", "SECRETS_KEYS", "BASE_URL", "DURABILITY_NOT_NEEDED"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SUBSCRIBERS = {subscriber for subscriber, _, _ in ENDPOINTS.values()}
URL = "https://erp.example.test/intake"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for part in PARTS:
        source = embedded.BASE_DIR / part
        if source.is_dir():
            shutil.copytree(source, folder / part)
        else:
            shutil.copy2(source, folder / part)
    yield folder
    embedded.discard(folder / "var")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def run_demo(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    return subprocess.run(
        [sys.executable, "manage.py", "up", "--demo", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(330)
def test_every_kind_of_event_arrives_twice_in_a_row_beside_another_program(checkout, taken_port):
    for expects_password in (True, False):
        result = run_demo(checkout, "--check", "--port", str(taken_port))

        assert result.returncode == 0, result.stdout + result.stderr
        summary = json.loads(result.stdout.splitlines()[-1])
        seconds = summary.pop("seconds")
        assert 0 < seconds < 60
        assert summary["emails_received"] >= 17
        assert summary["webhooks_delivered"] >= 17
        assert summary == {
            "events": 17,
            "webhooks_delivered": summary["webhooks_verified"],
            "webhooks_verified": summary["webhooks_verified"],
            "emails_received": summary["emails_received"],
            "lanes_in_order": True,
            "lost": 0,
            "duplicates": 0,
        }
        assert f"Port {taken_port} is taken" in result.stdout
        assert ("They are shown only now" in result.stdout) == expects_password


def test_check_alone_is_refused_in_words(checkout):
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    result = subprocess.run(
        [sys.executable, "manage.py", "up", "--check"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "--demo --check" in result.stderr


def callout(number: int, sequence: int, previous: str = "", lane: str = "1:account:1") -> Callout:
    return Callout(
        number=number,
        id=f"dlv_{lane}_{sequence}",
        at=0.0,
        is_verified=True,
        lane=lane,
        sequence=sequence,
        previous=previous,
    )


def in_order(*sequences: int) -> list[Callout]:
    return [
        callout(number, sequence, f"dlv_1:account:1_{sequence - 1}" if sequence > 1 else "")
        for number, sequence in enumerate(sequences, 1)
    ]


@pytest.mark.parametrize("sequences", [(1, 2, 3), (7, 8, 9), (1, 2, 2, 3), ()])
def test_a_lane_in_order_is_found_in_order(sequences):
    assert disorder(in_order(*sequences)) == []


@pytest.mark.parametrize("sequences", [(2, 1), (1, 3), (1, 3, 2)])
def test_a_swap_or_a_gap_in_a_lane_is_noticed(sequences):
    assert disorder(in_order(*sequences))


def test_a_callout_that_names_another_one_before_it_is_noticed():
    [fault] = disorder([callout(1, 1), callout(2, 2, previous="dlv_other")])

    assert "names dlv_other as the one before" in fault


def request(body: bytes, *, signed: bytes | None = None, path: str = "/intake?tenant=1") -> Received:
    now = datetime.now(UTC)
    headers = {
        "host": "erp.example.test",
        "webhook-id": "dlv_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("dlv_1", now, (signed or body).decode()),
    }
    return Received(number=1, connection=1, method="POST", path=path, headers=headers, body=body)


def test_a_callout_with_a_good_signature_is_taken():
    hooks = Hooks({URL: SECRET})

    assert hooks.answer(request(b'{"total": 1.0}'))[0] == 204
    assert [each.is_verified for each in hooks.callouts()] == [True]
    assert hooks.faults() == []


def test_a_callout_whose_bytes_were_changed_is_refused_and_reported():
    hooks = Hooks({URL: SECRET})

    assert hooks.answer(request(b'{"total": 1.0}', signed=b'{"total": 1.00}'))[0] == 401
    assert [each.is_verified for each in hooks.callouts()] == [False]
    [fault] = hooks.faults()
    assert "dlv_1" in fault


def test_a_callout_to_another_path_of_a_known_host_is_taken_and_not_counted():
    hooks = Hooks({URL: SECRET})

    assert hooks.answer(request(b"{}", path="/elsewhere"))[0] == 204
    assert hooks.callouts() == []


def test_a_callout_to_an_unknown_host_is_refused():
    hooks = Hooks({"https://hooks.example.test/intake": SECRET})

    assert hooks.answer(request(b"{}"))[0] == 404
    assert hooks.callouts() == []


def test_what_the_demo_leaves_is_recognised(db):
    assert not remains.are_here()
    ensure_endpoints(dict.fromkeys(SUBSCRIBERS, SubscriberFactory()))
    assert remains.are_here()


LETTERHEAD = Letterhead(
    profile="Billing", from_name="Example Telecom", from_address="billing@example.com", username="billing"
)


def arrival(text: str, *, sender: str = "Example Telecom <billing@example.com>") -> Arrival:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "ops@example.com", "Invoice INV-1"
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    mail = Mail(
        number=1,
        connection=1,
        sender="billing@example.com",
        recipients=("ops@example.com",),
        content=message.as_bytes(),
        secured=True,
        username="billing",
    )
    return Arrival(
        number=1, id="dlv_1", at=time.monotonic(), profile="Billing", mail=mail, message=mail.parsed()
    )


def faults(mail: Arrival) -> list[str]:
    return incomplete(mail, letterhead=LETTERHEAD, recipient="ops@example.com", values=["INV-1", "249.00"])


def test_a_whole_mail_has_no_faults():
    assert faults(arrival("Invoice INV-1 of 249.00 CAD")) == []


@pytest.mark.parametrize(
    ("mail", "fault"),
    [
        (arrival("Invoice INV-1"), "Its text lacks 249.00."),
        (arrival("Invoice {{ invoice.number }} INV-1 249.00"), "Its text is empty, or holds Liquid."),
        (
            arrival("INV-1 249.00", sender="Operations <ops@example.com>"),
            "It is from Operations <ops@example.com>.",
        ),
    ],
)
def test_a_mail_that_lacks_something_is_noticed(mail, fault):
    assert fault in faults(mail)
