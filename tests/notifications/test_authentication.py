"""How endpoints authenticate: set in the console and through the API, used by the engine, shown by nobody."""

import json
import logging
from datetime import timedelta

import pytest
import time_machine
import trustme
from cryptography.fernet import Fernet
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook

from events.keys import create_key
from events.models import Scope
from events.publish import publish
from notifications.endpoint_destination import destination_of
from notifications.engine import Engine
from notifications.models import AuditEntry, Delivery, Endpoint, EndpointHeader, Parameter, RetiredSecret
from notifications.sinks.https_sink import HttpsSink
from tests import console_form
from tests.factories import EndpointFactory, SubscriberFactory, UserFactory, WebhookSubscriptionFactory
from tests.token_server import CLIENT_ID, CLIENT_SECRET, TOKEN_HOST, TOKEN_URL, TokenServer, problem

ADD = "admin:notifications_endpoint_add"
CHANGE = "admin:notifications_endpoint_change"
OAUTH = {
    "authorization": "oauth2",
    "token_url": TOKEN_URL,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}


@pytest.fixture
def console(client, admin_user):
    client.force_login(admin_user)
    return client


@pytest.fixture
def subscriber(db):
    return SubscriberFactory()


@pytest.fixture
def api(subscriber):
    _, token = create_key(subscriber=subscriber, name="x", scopes=[Scope.CONFIG_READ, Scope.CONFIG_WRITE])
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def endpoint(subscriber):
    return EndpointFactory(subscriber=subscriber)


@pytest.fixture(scope="module")
def pairs():
    """Two client certificates with their keys, as PEM texts."""
    ca = trustme.CA()
    issued = [ca.issue_cert(f"client{number}.example.test") for number in range(2)]
    return [(one.cert_chain_pems[0].bytes().decode(), one.private_key_pem.bytes().decode()) for one in issued]


def call(api, method, path, body=None):
    return getattr(api, method)(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def faults(response):
    assert response.status_code == 400, response.content
    return {each["field"].strip("/"): each["detail"] for each in json.loads(response.content)["errors"]}


def form(console, page, **changes):
    return console_form.read(console.get(page), "endpoint", **changes)


def change(endpoint):
    return reverse(CHANGE, args=[endpoint.pk])


REFUSED = [
    ({"authorization": "basic", "username": "u"}, "password", "needs this"),
    ({"authorization": "basic", "username": "a:b", "password": "p"}, "username", "no colon"),
    ({"authorization": "bearer"}, "bearer_token", "needs this"),
    ({"authorization": "bearer", "bearer_token": "two words"}, "bearer_token", "without spaces"),
    ({"authorization": "bearer", "bearer_token": "t", "password": "p"}, "password", "another choice"),
    ({"authorization": "oauth2"}, "token_url", "needs this"),
    ({**OAUTH, "token_url": "http://login.example.test/"}, "token_url", "starts with https://"),
    ({**OAUTH, "token_url": "https://u:p@login.example.test/"}, "token_url", "no user name"),
    ({**OAUTH, "token_url": "https://login.example.test:x/"}, "token_url", "port"),
    ({"api_key_header": "X-API-Key"}, "api_key", "no value"),
    ({"api_key": "k"}, "api_key_header", "Name the header"),
    ({"api_key_header": "webhook-id", "api_key": "k"}, "api_key_header", "set by the product"),
    ({"api_key_header": "X Y", "api_key": "k"}, "api_key_header", "not a header name"),
    (
        {"api_key_header": "Authorization", "api_key": "k", "authorization": "bearer", "bearer_token": "t"},
        "api_key_header",
        "sets this header already",
    ),
    ({"client_key": "KEY0"}, "client_certificate", "no certificate"),
    ({"client_certificate": "CERT0"}, "client_key", "needs its key"),
    ({"client_certificate": "CERT0", "client_key": "KEY1"}, "client_key", "does not belong"),
    ({"client_certificate": "CERT0", "client_key": "junk"}, "client_key", "not a private key"),
    ({"client_certificate": "junk", "client_key": "KEY0"}, "client_certificate", "not a certificate"),
    ({"timeout_seconds": 16}, "timeout_seconds", "15"),
    ({"timeout_seconds": 0}, "timeout_seconds", "1"),
]


@pytest.mark.parametrize(("given", "field", "words"), REFUSED, ids=[f"{f}-{w}" for _, f, w in REFUSED])
def test_console_and_api_refuse_the_same_at_the_field_that_mends_it(
    console, api, subscriber, pairs, given, field, words
):
    names = {"CERT0": pairs[0][0], "KEY0": pairs[0][1], "KEY1": pairs[1][1]}
    given = {name: names.get(value, value) for name, value in given.items()}
    given |= {"subscriber": subscriber.pk, "name": "main", "base_url": "https://hooks.example.com"}
    page = reverse(ADD)
    shown = console.post(page, form(console, page, **given)).context["adminform"].form.errors
    assert words in " ".join(shown[field])
    assert words in faults(call(api, "post", "endpoints/", given))[field]
    assert not Endpoint.objects.exists()


HEADERS = [
    ([{"name": "Host", "value": "x"}], "set by the product itself"),
    ([{"name": "bellwether-lane", "value": "x"}], "set by the product itself"),
    ([{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}], "there twice"),
    ([{"name": "Authorization", "value": "x", "is_secret": True}], "sets this header already"),
    ([{"name": "X-A", "value": "a\nb"}], "control characters"),
    ([{"name": "X-A"}], "value of this header"),
    ([{"value": "1"}], ""),
    ([{"name": "X-Number", "value": "1"}], "A parameter"),
]


@pytest.mark.parametrize(("headers", "words"), HEADERS)
def test_added_headers_that_clash_are_refused_at_their_row(console, api, subscriber, headers, words):
    endpoint = EndpointFactory(subscriber=subscriber, authorization="bearer", bearer_token="t")
    hooks = WebhookSubscriptionFactory(endpoint=endpoint)
    Parameter.objects.create(
        subscription=hooks, name="X-Number", value="1", source="static", placement="header"
    )
    assert words in faults(call(api, "patch", f"endpoints/{endpoint.pk}/", {"headers": headers}))["headers"]
    rows = {"headers-TOTAL_FORMS": len(headers)}
    for number, header in enumerate(headers):
        rows |= {f"headers-{number}-{name}": value for name, value in header.items()}
    page = change(endpoint)
    assert words in console.post(page, form(console, page, **rows)).text
    assert not EndpointHeader.objects.exists()


def test_a_secret_header_stays_while_its_value_is_left_out(console, api, endpoint):
    path = f"endpoints/{endpoint.pk}/"
    made = [{"name": "X-Tenant", "value": "7"}, {"name": "X-Key", "value": "planted-1", "is_secret": True}]
    answer = call(api, "patch", path, {"headers": made}).json()["headers"]
    assert answer == [
        {"name": "X-Tenant", "value": "7", "is_secret": False},
        {"name": "X-Key", "value": "", "is_secret": True},
    ]
    call(api, "patch", path, {"headers": answer})
    page = change(endpoint)
    assert console.post(page, form(console, page, name="renamed")).status_code == 302
    sent = destination_of(Endpoint.objects.get())
    assert (sent.headers, sent.open_headers) == ((("X-Key", "planted-1"),), (("X-Tenant", "7"),))
    refused = console.post(page, form(console, page, **{"headers-1-is_secret": ""}))
    assert "Type the value again" in refused.text


def test_what_another_choice_of_authorization_used_is_not_kept(console, api, endpoint):
    path = f"endpoints/{endpoint.pk}/"
    basic = {"authorization": "basic", "username": "u", "password": "planted-1"}
    assert call(api, "patch", path, basic).status_code == 200
    assert destination_of(Endpoint.objects.get()).headers[0][1].startswith("Basic ")
    page = change(endpoint)
    assert (
        console.post(page, form(console, page, authorization="bearer", bearer_token="t")).status_code == 302
    )
    endpoint.refresh_from_db()
    assert (endpoint.username, endpoint.password, endpoint.bearer_token) == ("", "", "t")
    assert call(api, "patch", path, OAUTH).status_code == 200
    endpoint.refresh_from_db()
    assert (endpoint.bearer_token, endpoint.client_secret) == ("", CLIENT_SECRET)
    assert console.post(page, form(console, page, authorization="")).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.token_url, endpoint.client_secret) == ("", "")
    assert destination_of(endpoint).grant is None


def test_saving_warns_of_an_address_that_will_be_refused_and_names_it(console, api, endpoint):
    said = call(api, "patch", f"endpoints/{endpoint.pk}/", {"base_url": "https://localhost"}).json()[
        "warnings"
    ]
    assert len(said) == 1
    assert "127.0.0.1 is loopback" in said[0] or "::1 is loopback" in said[0]
    assert api.get(f"/api/v1/endpoints/{endpoint.pk}/").json()["warnings"] == []
    page = change(endpoint)
    shown = console.post(page, form(console, page, base_url="https://LOCALHOST/a"), follow=True)
    assert "is loopback" in shown.text
    assert Endpoint.objects.get().base_url == "https://localhost/a"


def test_ed25519_has_a_key_pair_as_long_as_it_is_wanted(console, api, endpoint):
    path = f"endpoints/{endpoint.pk}/"
    public = call(api, "patch", path, {"signs_ed25519": True}).json()["public_key"]
    assert public.startswith("whpk_")
    assert public in console.get(change(endpoint)).text
    assert "whsk_" not in console.get(change(endpoint)).text
    assert call(api, "patch", path, {"signs_ed25519": False}).json()["public_key"] == ""
    refused = console.post(
        change(endpoint), form(console, change(endpoint), signs_ed25519="on", timeout_seconds="99")
    )
    assert ("1 to 15" in refused.text, "whpk_" in refused.text) == (True, False)  # a key that is not kept
    call(api, "patch", path, {"signs_ed25519": True})
    secret, pair = destination_of(Endpoint.objects.get()).secrets
    assert (secret[:6], pair[:5]) == ("whsec_", "whsk_")
    assert call(api, "patch", path, {"signs_ed25519": False}).json()["public_key"] == ""
    assert len(destination_of(Endpoint.objects.get()).secrets) == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Endpoint.objects.update(signs_ed25519=True)


class TestRotation:
    def test_the_old_secret_signs_until_its_overlap_ends(self, api, endpoint):
        old = endpoint.secret
        response = call(api, "post", f"endpoints/{endpoint.pk}/rotate-secret/", {"overlap_hours": 2})
        answer = response.json()
        endpoint.refresh_from_db()
        assert response["Cache-Control"] == "no-store"
        assert answer["secret"] == endpoint.secret != old
        [(retired, until)] = destination_of(endpoint).retiring
        assert retired == old
        assert abs(until - (timezone.now() + timedelta(hours=2)).timestamp()) < 60
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject) == ("endpoint.rotate", f"endpoint {endpoint.pk}")

    def test_without_overlap_the_old_one_is_gone_and_ended_ones_are_swept(self, api, endpoint):
        RetiredSecret.objects.create(endpoint=endpoint, secret="whsec_x", signs_until=timezone.now())
        answer = call(api, "post", f"endpoints/{endpoint.pk}/rotate-secret/", {"overlap_hours": 0}).json()
        assert answer["former_signs_until"] is None
        assert not RetiredSecret.objects.exists()

    @pytest.mark.parametrize("hours", [-1, 169, "x", None])
    def test_an_overlap_beyond_a_week_is_refused(self, api, endpoint, hours):
        path = f"endpoints/{endpoint.pk}/rotate-secret/"
        assert "overlap_hours" in faults(call(api, "post", path, {"overlap_hours": hours}))

    def test_ten_may_sign_beside_it_and_a_key_pair_is_rotated_by_itself(self, api, endpoint):
        path = f"endpoints/{endpoint.pk}/rotate-secret/"
        assert "has no Ed25519" in faults(call(api, "post", path, {"key": "ed25519"}))["key"]
        assert [call(api, "post", path, {}).status_code for _ in range(10)] == [200] * 10
        assert "10 former ones still sign" in faults(call(api, "post", path, {}))["overlap_hours"]
        public = call(api, "patch", f"endpoints/{endpoint.pk}/", {"signs_ed25519": True}).json()["public_key"]
        answer = call(api, "post", path, {"key": "ed25519"}).json()
        assert (answer["secret"], answer["public_key"] != public) == (None, True)
        kinds = sorted(secret[:5] for secret, _ in destination_of(Endpoint.objects.get()).retiring)
        assert kinds == ["whsec"] * 10 + ["whsk_"]

    def test_the_console_asks_first_and_shows_the_new_one_once(self, console, endpoint):
        button = reverse("admin:notifications_endpoint_do", args=[endpoint.pk, "rotate"])
        assert "Hours in which the old one signs too" in console.post(button).text
        page = reverse("admin:notifications_endpoint_rotate", args=[endpoint.pk])
        refused = console.post(page, {"key": "secret", "overlap_hours": "200"})
        assert "0 to 168" in refused.text
        old = endpoint.secret
        shown = console.post(page, {"key": "secret", "overlap_hours": "24"})
        endpoint.refresh_from_db()
        assert "no-store" in shown["Cache-Control"]
        assert (endpoint.secret in shown.text, old in shown.text) == (True, False)
        assert "later only to who may reveal it, with a reason" in shown.text
        assert RetiredSecret.objects.get().secret == old
        pair = console.post(page, {"key": "ed25519", "overlap_hours": "24"})
        assert "has no Ed25519" in pair.text

    @pytest.mark.django_db(transaction=True)
    def test_every_callout_during_an_overlap_verifies_with_both_and_then_with_the_new(
        self, catalog, https_receiver, django_user_model
    ):
        hooks = WebhookSubscriptionFactory(queue__is_ordered=False)
        endpoint, old = hooks.endpoint, hooks.endpoint.secret
        user = django_user_model.objects.create_superuser("root")
        console = Client()
        console.force_login(user)
        console.post(
            reverse("admin:notifications_endpoint_rotate", args=[endpoint.pk]),
            {"key": "secret", "overlap_hours": "1"},
        )
        endpoint.refresh_from_db()
        for number in range(50):
            publish("invoice.posted", catalog["invoice.posted"].sample | {"account": {"id": str(number)}})
        assert Engine(until_idle=True).run() == 50
        verified = [
            [Webhook(secret).verify(one.body, one.headers)["type"] for secret in (old, endpoint.secret)]
            for one in https_receiver.received
        ]
        assert verified == [["invoice.posted"] * 2] * 50
        RetiredSecret.objects.update(signs_until=timezone.now() - timedelta(seconds=1))
        publish("invoice.posted", catalog["invoice.posted"].sample)
        assert Engine(until_idle=True).run() == 1
        last = https_receiver.received[-1]
        assert len(last.headers["webhook-signature"].split(" ")) == 1
        assert Webhook(endpoint.secret).verify(last.body, last.headers)


class TestReveal:
    def page(self, endpoint):
        return reverse("admin:notifications_endpoint_reveal", args=[endpoint.pk])

    def test_it_needs_a_reason_and_is_written_down(self, console, endpoint):
        asked = [console.get(self.page(endpoint)), console.post(self.page(endpoint), {"reason": " "})]
        assert not [each for each in asked if "whsec_" in each.text]
        assert "Say why" in asked[1].text
        assert not AuditEntry.objects.exists()
        shown = console.post(self.page(endpoint), {"reason": "receiver lost it"})
        assert endpoint.secret in shown.text
        assert "no-store" in shown["Cache-Control"]
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.reason) == ("endpoint.reveal_secret", "receiver lost it")
        assert not [each for each in Session.objects.all() if endpoint.secret in str(each.get_decoded())]

    def test_who_may_change_an_endpoint_may_not_reveal_its_secret(self, client, endpoint):
        user = UserFactory(is_staff=True)
        wanted = ["view_endpoint", "change_endpoint"]
        user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
        client.force_login(user)
        assert "Reveal" not in client.get(change(endpoint)).text
        assert client.post(self.page(endpoint), {"reason": "x"}).status_code == 403
        do = reverse("admin:notifications_endpoint_do", args=[endpoint.pk, "reveal"])
        assert client.post(do).status_code == 403
        assert not AuditEntry.objects.exists()
        user.user_permissions.add(Permission.objects.get(codename="reveal_secret"))
        client.force_login(type(user).objects.get(pk=user.pk))
        assert endpoint.secret in client.post(self.page(endpoint), {"reason": "x"}).text


@pytest.mark.django_db(transaction=True)
class TestEngine:
    @pytest.fixture
    def server(self, ca, https_receiver, settings):
        server = TokenServer()
        with HttpsSink(ca=ca, hosts=[TOKEN_HOST], script=server.answer) as sink:
            settings.OUTBOUND_CONNECT_TO = [*settings.OUTBOUND_CONNECT_TO, sink.connect_to(TOKEN_HOST)]
            yield server

    def test_many_events_go_with_one_token(self, catalog, https_receiver, server):
        WebhookSubscriptionFactory(endpoint=EndpointFactory(**OAUTH), queue__is_ordered=False)
        for number in range(20):
            publish("invoice.posted", catalog["invoice.posted"].sample | {"account": {"id": str(number)}})
        assert Engine(until_idle=True).run() == 20
        assert {one.headers["authorization"] for one in https_receiver.received} == {"Bearer token-1"}
        assert len(server.asked) == 1

    def test_a_refused_client_pauses_the_endpoint_with_the_reason_and_spends_no_attempt(
        self, catalog, https_receiver, server
    ):
        endpoint = EndpointFactory(**OAUTH)
        WebhookSubscriptionFactory(endpoint=endpoint)
        server.fault = lambda _form: problem(401, "invalid_client", f"secret {CLIENT_SECRET} expired")
        publish("invoice.posted", catalog["invoice.posted"].sample)
        assert Engine(until_idle=True).run() == 1
        endpoint.refresh_from_db()
        delivery = Delivery.objects.get()
        assert "invalid_client" in endpoint.paused_reason
        assert CLIENT_SECRET not in endpoint.paused_reason
        assert (delivery.status, delivery.attempt_count, https_receiver.count) == ("retrying", 0, 0)
        server.fault = None
        Endpoint.objects.get().save()  # an edit alone does not resume it
        endpoint.paused_reason = ""
        endpoint.save()
        assert Engine(until_idle=True).run() == 1
        assert https_receiver.count == 1

    def test_no_secret_is_in_any_page_answer_log_line_or_column(
        self, catalog, https_receiver, server, pairs, caplog, capfd, django_user_model
    ):
        caplog.set_level(logging.DEBUG)
        planted = {f"pl4nted-{name}" for name in ("password", "bearer", "client", "key", "header")}
        certificate, key = pairs[0]
        subscriber = SubscriberFactory()
        console, api = Client(), Client()
        console.force_login(django_user_model.objects.create_superuser("root"))
        _, token = create_key(
            subscriber=subscriber,
            name="x",
            scopes=[Scope.CONFIG_READ, Scope.CONFIG_WRITE, Scope.DELIVERIES_READ],
        )
        api = Client(headers={"Authorization": f"Bearer {token}"})
        common = {
            "subscriber": subscriber.pk,
            "base_url": "https://receiver.example.test",
            "signs_ed25519": True,
            "api_key_header": "X-API-Key",
            "api_key": "pl4nted-key",
            "client_certificate": certificate,
            "client_key": key,
            "headers": [{"name": "X-Secret", "value": "pl4nted-header", "is_secret": True}],
        }
        schemes = [
            {"authorization": "basic", "username": "u", "password": "pl4nted-password"},
            {"authorization": "bearer", "bearer_token": "pl4nted-bearer"},
            {**OAUTH, "client_secret": "pl4nted-client"},
        ]
        said = []
        # Whatever it is told, the receiver tells back, and so does the token server.
        https_receiver.script = lambda request: (
            500, {"X-Echo": request.headers["x-secret"]}, json.dumps(request.headers).encode()
        )  # fmt: skip
        server.fault = lambda form: (
            problem(401, "invalid_client", str(form) + "pl4nted-client") if len(server.asked) > 1 else None
        )
        server._who = lambda *_: (CLIENT_ID, CLIENT_SECRET)
        endpoints = []
        for number, scheme in enumerate(schemes):
            made = call(api, "post", "endpoints/", {**common, **scheme, "name": f"e{number}"})
            assert made.status_code == 201, made.content
            endpoints.append(Endpoint.objects.get(pk=made.json()["id"]))
            said.append(json.dumps({name: value for name, value in made.json().items() if name != "secret"}))
            said.append(call(api, "patch", f"endpoints/{endpoints[-1].pk}/", {"base_url": "x"}).text)
            page = change(endpoints[-1])
            said += [console.get(page).text, console.post(page, form(console, page, base_url="x")).text]
            wrong = {"base_url": "x", "password": "pl4nted-password", "bearer_token": "pl4nted-bearer"}
            said.append(console.post(page, form(console, page, **wrong, client_key=key)).text)
            WebhookSubscriptionFactory(endpoint=endpoints[-1])
        publish("invoice.posted", catalog["invoice.posted"].sample)
        assert Engine(until_idle=True).run() == 3
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            Delivery.objects.update(due_at=timezone.now() - timedelta(hours=2))
        for path in (
            "endpoints/",
            "deliveries/",
            *(f"deliveries/{d.public_id}/" for d in Delivery.objects.all()),
        ):
            said.append(api.get(f"/api/v1/{path}").text)
        for model, rows in (("delivery", Delivery.objects.all()), ("endpoint", endpoints)):
            said.append(console.get(reverse(f"admin:notifications_{model}_changelist")).text)
            said += [
                console.get(reverse(f"admin:notifications_{model}_change", args=[r.pk])).text for r in rows
            ]
        said += [
            record.getMessage() + str(record.exc_info) + str(record.__dict__) for record in caplog.records
        ]
        said += capfd.readouterr()
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in cursor.fetchall():
                cursor.execute(f'SELECT t::text FROM "{table}" t')
                said += [row[0] for row in cursor.fetchall()]
        said.append(repr([destination_of(each) for each in endpoints]))
        said.append(repr([each.__dict__["name"] for each in endpoints]))
        secrets = planted | {key.splitlines()[1], "token-1", *(each.secret for each in endpoints)}
        secrets |= {each.key_pair for each in endpoints}
        found = {(secret, text[:300]) for secret in secrets for text in said if secret in text}
        assert found == set()
        # And they were there to be found.
        sent = [one.headers for one in https_receiver.received]
        assert {one["x-secret"] for one in sent} == {"pl4nted-header"}
        assert {one["authorization"][:6] for one in sent} == {"Basic ", "Bearer"}
        assert len(server.asked) == 1


def test_who_may_only_look_at_an_endpoint_sees_no_secret(client, pairs, endpoint, subscriber):
    certificate, key = pairs[0]
    planted = {"password", "bearer_token", "client_secret", "api_key"}
    for name in planted:
        setattr(endpoint, name, f"pl4nted-{name}")
    endpoint.api_key_header, endpoint.signs_ed25519 = "X-API-Key", True
    endpoint.client_certificate, endpoint.client_key = certificate, key
    endpoint.save()
    EndpointHeader.objects.create(
        endpoint=endpoint, name="X-Key", is_secret=True, secret_value="pl4nted-header"
    )
    user = UserFactory(is_staff=True)
    wanted = ["view_endpoint", "view_endpointheader"]
    user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    client.force_login(user)
    shown = client.get(change(endpoint)).text
    assert "X-API-Key" in shown
    assert "X-Key" in shown
    secrets = ["pl4nted", key.splitlines()[1], endpoint.secret, endpoint.key_pair]
    assert [secret for secret in secrets if secret in shown] == []


class TestKeys:
    def test_a_secret_that_no_key_opens_breaks_no_page_and_is_entered_again(
        self, console, api, endpoint, settings
    ):
        call(api, "patch", f"endpoints/{endpoint.pk}/", {"authorization": "bearer", "bearer_token": "t"})
        settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
        page = change(endpoint)
        assert console.get(reverse("admin:notifications_endpoint_changelist")).status_code == 200
        assert "cannot be read" in console.post(page, form(console, page)).text
        path = f"endpoints/{endpoint.pk}/"
        assert "cannot be read" in faults(call(api, "patch", path, {"name": "n"}))["bearer_token"]
        assert call(api, "patch", path, {"bearer_token": "u"}).status_code == 200
        assert console.post(page, form(console, page, name="renamed")).status_code == 302
        assert call(api, "post", f"{path}rotate-secret/", {}).json()["former_signs_until"] is None

    def test_rotate_secrets_encrypts_everything_with_the_newest_key(self, endpoint, settings, capsys):
        EndpointHeader.objects.create(endpoint=endpoint, name="X", is_secret=True, secret_value="s")
        secret, old = endpoint.secret, settings.SECRETS_KEYS
        new = Fernet.generate_key().decode()
        settings.SECRETS_KEYS = [new, *old]
        call_command("rotate_secrets")
        assert "Endpoint.secret: 1 of 1 encrypted anew" in capsys.readouterr().out
        settings.SECRETS_KEYS = [new]
        assert Endpoint.objects.get().secret == secret
        assert EndpointHeader.objects.get().secret_value == "s"
        call_command("rotate_secrets")
        assert "Endpoint.secret: 0 of 1 encrypted anew" in capsys.readouterr().out

    def test_rotate_secrets_fails_and_says_where_nothing_can_be_read(self, endpoint, settings, capsys):
        settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
        with pytest.raises(CommandError, match=r"Endpoint\.secret"):
            call_command("rotate_secrets")
        assert "1 that no key opens" in capsys.readouterr().out
