"""The HTTP API of SMTP profiles and their rules."""

import json

import pytest
from django.test import Client

from events.keys import create_key
from events.models import EventType, Scope, Subscriber
from notifications.models import AuditEntry, ProfileRule
from smtpprofiles.models import SmtpProfile
from tests.factories import SmtpProfileFactory
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME

pytestmark = pytest.mark.django_db

PROFILES, RULES = "/api/v1/smtp-profiles/", "/api/v1/profile-rules/"
NEW = {"name": "Billing", "host": "mail.example.test", "from_address": "billing@example.test"}
SECRET = "s3cret-word"


@pytest.fixture
def subscriber() -> Subscriber:
    EventType.objects.create(
        code="sim.dormant", label="Dormant SIM", resource="sim", operation="update", category="usage"
    )
    return Subscriber.objects.create(name="Example Telecom")


@pytest.fixture
def api(subscriber) -> Client:
    _, token = create_key(
        subscriber=subscriber, name="portal", scopes=[Scope.CONFIG_READ, Scope.CONFIG_WRITE]
    )
    return Client(headers={"authorization": f"Bearer {token}"})


def send(api: Client, method: str, path: str, body: object = None):
    given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    answer = getattr(api, method)(path, **given)
    return answer.status_code, json.loads(answer.content or b"{}")


def faults(answer) -> dict[str, str]:
    return {each["field"].strip("/"): each["detail"] for each in answer["errors"]}


def test_a_profile_is_made_and_none_of_its_secrets_comes_back(api):
    given = NEW | {"username": "billing", "password": SECRET, "port": 587, "security": "starttls"}
    status, made = send(api, "post", PROFILES, given)
    assert status == 201
    status, changed = send(
        api, "patch", f"{PROFILES}{made['id']}/", {"kind": "resend", "provider_key": SECRET}
    )
    assert status == 200
    found = SmtpProfile.objects.get()
    assert (found.password, found.provider_key, found.kind) == (SECRET, SECRET, "resend")
    listed = send(api, "get", PROFILES)[1]
    for shown in (made, changed, listed):
        assert SECRET not in json.dumps(shown)
    assert not set(SmtpProfile.SECRETS) & set(made)
    assert (made["state"], made["port"], made["on_unknown"]) == ("running", 587, "resend")


def test_the_port_is_25_and_nobody_logs_in_unless_something_else_is_said(api):
    status, made = send(api, "post", PROFILES, NEW)
    assert (status, made["port"], made["security"]) == (201, 25, "none")
    account = SmtpProfile.objects.get().account()
    assert (account.username, account.password) == ("", "")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"host": ""}, {"host"}),
        ({"port": 0}, {"port"}),
        ({"username": "billing"}, {"password"}),
        ({"password": "x"}, {"username"}),
        ({"authentication": "client_credentials", "username": "u", "security": "tls"},
         {"oauth_token_url", "oauth_client_id", "oauth_client_secret", "oauth_scope"}),
        ({"kind": "mailgun"}, {"provider_key", "provider_domain"}),
        ({"kind": "pigeon"}, {"kind"}),
        ({"provider_url": "http://api.example.com"}, {"provider_url"}),
        ({"oauth_token_url": "https://login.example.com:8443/"}, {"oauth_token_url"}),
        ({"colour": "blue"}, {"colour"}),
    ],
)  # fmt: skip
def test_a_bad_member_is_named(api, change, fields):
    status, answer = send(api, "post", PROFILES, NEW | change)
    assert (status, set(faults(answer))) == (400, fields)
    assert not SmtpProfile.objects.exists()


def test_a_circle_of_fallbacks_is_refused(api):
    first = SmtpProfileFactory(name="First")
    second = SmtpProfileFactory(name="Second", is_default=False, fallback=first)
    status, answer = send(api, "patch", f"{PROFILES}{first.pk}/", {"fallback": second.pk})
    assert status == 400
    assert "First → Second → First" in faults(answer)["fallback"]


def test_a_new_default_takes_the_place_of_the_former(api):
    first = SmtpProfileFactory()
    status, made = send(api, "post", PROFILES, NEW | {"is_default": True})
    assert status == 201
    assert list(SmtpProfile.objects.filter(is_default=True).values_list("pk", flat=True)) == [made["id"]]
    assert made["id"] != first.pk


@pytest.mark.parametrize("about", [{"event_type": "sim.dormant"}, {"resource": "sim"}, {"category": "usage"}])
def test_a_rule_is_made_for_a_type_a_resource_or_a_category(api, about):
    profile = SmtpProfileFactory()
    status, made = send(api, "post", RULES, about | {"profile": profile.pk})
    assert status == 201
    assert {name: made[name] for name in about} == about
    status, _ = send(api, "post", RULES, about | {"profile": profile.pk})
    assert (status, ProfileRule.objects.count()) == (400, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one"),
        ({"resource": "sim", "category": "usage"}, "exactly one"),
        ({"resource": "pigeon"}, "There are: sim."),
    ],
)
def test_a_rule_that_could_never_match_is_refused(api, given, said):
    profile = SmtpProfileFactory()
    status, answer = send(api, "post", RULES, given | {"profile": profile.pk})
    assert status == 400
    assert said in json.dumps(answer)


def test_a_test_shows_each_step_and_sends_only_where_asked(api, smtp_sink):
    profile = SmtpProfileFactory(host=MAIL_SERVER, username=USERNAME, password=PASSWORD)
    path = f"{PROFILES}{profile.pk}/test/"
    status, found = send(api, "post", path, {})
    assert (status, found["is_good"], smtp_sink.count) == (200, True, 0)
    assert [step["name"] for step in found["steps"]][-1] == "Login"
    status, found = send(api, "post", path, {"recipient": "ada@example.com"})
    assert (found["is_good"], smtp_sink.mails[0].recipients) == (True, ("ada@example.com",))
    assert PASSWORD not in json.dumps(found)
    assert AuditEntry.objects.filter(action="smtp_profile.test").count() == 2
    assert send(api, "post", path, {"recipient": "ada"})[0] == 400


def test_without_the_scope_nothing_is_tested(subscriber):
    profile = SmtpProfileFactory()
    _, token = create_key(subscriber=subscriber, name="reader", scopes=[Scope.CONFIG_READ])
    api = Client(headers={"authorization": f"Bearer {token}"})
    assert send(api, "post", f"{PROFILES}{profile.pk}/test/", {})[0] == 403
