"""docs/receiving-webhooks.md, run: its code takes what our sender sends, and refuses what it does not."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from events.publish import publish
from notifications import operate
from notifications.engine import Engine
from notifications.models import Delivery, Parameter
from notifications.sinks.inspector import Inspector
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory, WebhookSubscriptionFactory
from tests.processes import ROOT
from tests.servers import PASSWORD, USERNAME

DOCUMENT = (ROOT / "docs" / "receiving-webhooks.md").read_text()
# Of the public suites: the code must verify what others have signed, too.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
}
VECTOR_BODY = b'{"test": 2432232314}'


def block(heading: str, language: str) -> str:
    """Return the first block of that language below a heading."""
    section = DOCUMENT.partition(f"\n{heading}\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found[1]


def python(heading: str) -> dict[str, Any]:
    """Return what the Python of a section defines."""
    names: dict[str, Any] = {}
    exec(block(heading, "python"), names)
    return names


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def sent(catalog: Any, https_receiver: Any) -> tuple[str, list[Any]]:
    """The secret of an endpoint and three callouts of one lane, as they came; the second was tried twice."""
    subscription: Any = WebhookSubscriptionFactory()
    Parameter.objects.create(
        subscription=subscription, name="label", value="ë€ {{ event.label }}", source="liquid"
    )
    https_receiver.script = lambda got: (503 if got.number == 2 else 204, {}, b"")
    for _ in range(3):
        publish("invoice.posted", json.dumps(catalog["invoice.posted"].sample, ensure_ascii=False))
    Engine(until_idle=True).run()
    operate.retry([Delivery.objects.get(status="retrying").pk], subscription.subscriber, "")
    Engine(until_idle=True).run()
    return subscription.endpoint.secret, https_receiver.received


def tampered(headers: dict[str, str], body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Return a callout made wrong in each of the ways that a receiver has to notice."""
    return [
        (headers, body + b" "),
        (headers | {"webhook-id": "dlv_other"}, body),
        (headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, body),
        (headers | {"webhook-signature": "v1,"}, body),
        (headers | {"webhook-signature": "v1a," + headers["webhook-signature"][3:]}, body),
    ]


def test_the_documents_python_verifies_and_finds_repetitions_and_gaps(sent: tuple[str, list[Any]]) -> None:
    secret, callouts = sent
    assert len(callouts) == 4
    verify = python("### Python")["verify"]
    ledger = python("## Once and in order")["Ledger"]()
    judged = []
    for request in callouts:
        verify(secret, request.headers, request.body)
        judged.append(ledger.judge(request.headers))
    # Taken at its first try, though the answer said 503.
    assert judged == ["new", "new", "repeated", "new"]
    lossy = python("## Once and in order")["Ledger"]()
    assert [lossy.judge(callouts[at].headers) for at in (0, 3)] == ["new", "gap"]

    request = callouts[0]
    rotating = request.headers["webhook-signature"]
    both = request.headers | {"webhook-signature": f"v1,{'A' * 43}= {rotating}"}
    verify(secret, both, request.body)
    for headers, body in tampered(request.headers, request.body):
        with pytest.raises(ValueError, match=r"does not match"):
            verify(secret, headers, body)
    with pytest.raises(ValueError, match="too old"):
        verify(SECRET, VECTOR, VECTOR_BODY)
    verify(SECRET, VECTOR, VECTOR_BODY, tolerance=10**10)


def test_the_documents_python_verifies_with_the_public_key() -> None:
    verify = python("### With the public key (Ed25519)")["verify_public"]
    verify(PUBLIC, VECTOR, VECTOR_BODY)
    with pytest.raises(InvalidSignature):
        verify(PUBLIC, VECTOR, VECTOR_BODY + b" ")


_HARNESS = """
for (const [secret, headers, body, tolerance] of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
  try { verify(secret, headers, Buffer.from(body, "base64"), tolerance); console.log("verified"); }
  catch (error) { console.log(error.message); }
}
"""


def test_the_documents_javascript_verifies(sent: tuple[str, list[Any]], tmp_path: Path) -> None:
    node = tool("node")
    secret, callouts = sent
    program = tmp_path / "verify.js"
    program.write_text(block("### JavaScript", "javascript") + _HARNESS)
    cases: list[Any] = [(secret, one.headers, one.body, 300) for one in callouts]
    cases += [
        (secret, headers, body, 300) for headers, body in tampered(callouts[0].headers, callouts[0].body)
    ]
    cases += [(SECRET, VECTOR, VECTOR_BODY, 300), (SECRET, VECTOR, VECTOR_BODY, 10**10)]
    given = [
        (key, headers, base64.b64encode(body).decode(), tolerance) for key, headers, body, tolerance in cases
    ]
    told = subprocess.run(
        [node, str(program)], input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    no_match = "The signature does not match: another secret, or the body was changed."
    too_old = "The callout is too old, or this clock is wrong."
    assert told == ["verified"] * 4 + [no_match] * 5 + [too_old, "verified"]


def test_the_documents_shell_makes_the_same_signature(sent: tuple[str, list[Any]], tmp_path: Path) -> None:
    tool("openssl")
    secret, callouts = sent
    request = callouts[0]
    (tmp_path / "body.json").write_bytes(request.body)
    variables = {
        "secret": secret, "id": request.headers["webhook-id"], "timestamp": request.headers["webhook-timestamp"]
    }  # fmt: skip
    told = subprocess.run(
        [tool("sh"), "-ec", block("### openssl and curl", "sh")],
        cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip
    assert request.headers["webhook-signature"] == f"v1,{told}"


def test_the_inspector_says_what_is_wrong(sent: tuple[str, list[Any]]) -> None:
    secret, callouts = sent
    now = time.time()
    first, second, again, third = callouts
    inspector = Inspector([SECRET, secret])
    found = inspector.look(first.headers, first.body, now=now)
    assert (found.is_verified, found.signature, found.order) == (True, "verified by key 2 of 2 (v1)", "")
    found = inspector.look(third.headers, third.body, now=now)
    assert found.order.startswith(f"GAP: {second.headers['webhook-id']} should have come before it;")
    assert inspector.look(second.headers, second.body, now=now).order == "number 2 came after 3"
    assert inspector.look(again.headers, again.body, now=now).is_repeated is True
    wrong = [inspector.look(headers, body, now=now) for headers, body in tampered(first.headers, first.body)]
    assert [each.is_verified for each in wrong] == [False] * 5
    assert "another secret, or the body was changed" in wrong[0].signature
    late = inspector.look(first.headers, first.body, now=now + 1000)
    assert (late.is_verified, "are allowed" in late.signature) == (False, True)
    assert Inspector([]).look(first.headers, first.body, now=now).is_verified is None
    public = Inspector([PUBLIC]).look(VECTOR, VECTOR_BODY, now=1614265330)
    assert (public.is_verified, public.signature) == (True, "verified (v1a)")
    for key in ("nonsense", "whsec_", "whsec_***", "whpk_AAAA"):
        with pytest.raises(ValueError, match="A key is whsec_ or whpk_"):
            Inspector([key])


def test_a_developer_sees_each_callout_in_the_sink(
    catalog: Any, settings: Any, tmp_path: Path, transactional_db: None
) -> None:
    subscription: Any = WebhookSubscriptionFactory(endpoint__base_url="https://hooks.example.test")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "webhook_sink", "--port=0", "--count=1",
         f"--secret={subscription.endpoint.secret}"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        told = ""
        while "Ctrl-C" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        [entry] = re.findall(r"OUTBOUND_CONNECT_TO=(\S+)", told)
        [bundle] = re.findall(r"OUTBOUND_CA_BUNDLE=(\S+)", told)
        settings.OUTBOUND_CONNECT_TO, settings.OUTBOUND_CA_BUNDLE = [entry], bundle
        publish("invoice.posted", '{"account":{"id":"1"},"invoice":{"id":"9","number":"1","total":19.90}}')
        Engine(until_idle=True).run()
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "verified (v1); answered 204" in rest
    assert "number 1\n" in rest
    assert '"total": 19.90' in rest
    assert "1 callouts, 0 of them not signed" in rest
    assert (Path(bundle).parent / "ca.key").stat().st_mode & 0o077 == 0


def test_a_developer_sees_each_mail_in_the_sink(catalog: Any, settings: Any) -> None:
    SmtpProfileFactory()
    EmailSubscriptionFactory(address="ada@example.com", email_template__text="The text.")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "smtp_sink", "--port=0", "--count=1", f"--username={USERNAME}",
         f"--password={PASSWORD}"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        told = ""
        while "Ctrl-C" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        [entry] = re.findall(r"OUTBOUND_CONNECT_TO=(\S+)", told)
        [bundle] = re.findall(r"OUTBOUND_CA_BUNDLE=(\S+)", told)
        settings.OUTBOUND_CONNECT_TO, settings.OUTBOUND_CA_BUNDLE = [entry], bundle
        publish("invoice.posted", catalog["invoice.posted"].sample)
        Engine(until_idle=True).run()
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert Delivery.objects.get().status == "delivered"
    assert "billing@example.com → ada@example.com (TLS, logged in as billing)" in rest
    assert "Subject: Invoice Posted" in rest
    assert "  | The text.\n1 messages." in rest
