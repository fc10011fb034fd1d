"""What the log keeps of an attempt, and how its page and the API show it."""

import shlex
import subprocess
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from events.keys import create_key
from events.models import Scope
from events.publish import publish
from notifications import curl
from notifications.advice import advise
from notifications.engine import Engine
from notifications.models import Attempt, Delivery
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.servers import RECEIVER

pytestmark = pytest.mark.django_db(transaction=True)


def deliver(count: int = 1) -> list[Attempt]:
    for _ in range(count):
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "7"}}, queue="test-log")
        Engine(until_idle=True).run()
    return list(Attempt.objects.order_by("started_at"))


def test_the_log_says_where_the_time_went_and_what_was_sent(catalog, https_receiver, admin_client):
    https_receiver.script = lambda request: (
        200 if request.number < 3 else 401,
        {"X-Said": "<b>"},
        b"<i>taken</i>",
    )
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(name="test-log", is_ordered=False))
    first, second, third = deliver(3)

    assert first.is_reused is False
    assert None not in (first.dns_ms, first.connect_ms, first.tls_ms, first.first_byte_ms)
    assert first.dns_ms + first.connect_ms + first.tls_ms + first.first_byte_ms <= first.duration_ms + 4
    assert second.is_reused is True
    assert (second.dns_ms, second.connect_ms, second.tls_ms) == (None, None, None)
    assert second.first_byte_ms is not None
    assert first.request_headers.startswith(f"POST /hook HTTP/1.1\nHost: {RECEIVER}\nUser-Agent: Bellwether/")
    assert f"webhook-id: {first.delivery.public_id}" in first.request_headers
    [request] = https_receiver.received[:1]
    assert request.headers["webhook-signature"] not in first.request_headers

    def page(attempt: Attempt) -> str:
        url = f"/admin/notifications/delivery/{attempt.delivery_id}/change/"
        return " ".join(admin_client.get(url).text.split())

    assert f'<th scope="row">TLS</th><td class="number">{first.tls_ms} ms</td>' in page(first)
    assert '<th scope="row">DNS</th><td class="number">reused connection</td>' in page(second)
    shown = page(third)
    assert "<strong>What to do:</strong> The receiver verifies the raw body" in shown
    assert "&lt;i&gt;taken&lt;/i&gt;" in shown
    assert f"curl -i https://{RECEIVER}/hook" in shown
    for text in (page(first), shown):
        assert subscription.endpoint.secret not in text
        assert request.headers["webhook-signature"] not in text

    attempt_page = admin_client.get(f"/admin/notifications/attempt/{third.pk}/change/").text
    assert "First byte of the answer" in attempt_page
    assert subscription.endpoint.secret not in attempt_page

    _, token = create_key(subscriber=subscription.subscriber, name="portal", scopes=[Scope.DELIVERIES_READ])
    api = Client(headers={"Authorization": f"Bearer {token}"})
    told: Any = api.get(f"/api/v1/deliveries/{third.delivery.public_id}/").json()
    [attempt] = told["attempts"]
    names = ("status_code", "error_class", "is_reused", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms")
    assert {name: attempt[name] for name in names} == {name: getattr(third, name) for name in names}
    assert attempt["remedy"].startswith("The receiver verifies the raw body")
    assert attempt["response_headers"] == "X-Said: <b>\nContent-Length: 12"
    words = shlex.split(told["curl"].replace("\\\n", ""))
    assert words[:3] == ["curl", "-i", f"https://{RECEIVER}/hook"]
    assert words[-2:] == ["--data-raw", told["rendered"]["body"]]
    assert "webhook-signature: v1,****" in words


def test_what_never_connected_has_only_the_times_that_it_has(catalog, https_receiver, settings):
    WebhookSubscriptionFactory(queue=QueueFactory(name="test-log", is_ordered=False), retry_seconds=[3600])
    settings.OUTBOUND_CONNECT_TO = [f"{RECEIVER}:443=127.0.0.1:1"]
    [attempt] = deliver()
    assert attempt.error_class == "connect"
    assert attempt.dns_ms is not None
    assert (attempt.connect_ms, attempt.tls_ms, attempt.first_byte_ms) == (None, None, None)
    assert advise(attempt).verdict == "Nobody takes connections there."
    assert Delivery.objects.get().status == "retrying"


def test_every_partition_has_the_columns(catalog):
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(DISTINCT attrelid), count(*) FROM pg_attribute
               WHERE attname IN ('dns_ms', 'connect_ms', 'tls_ms', 'first_byte_ms', 'is_reused') AND attnum > 0
                 AND attrelid IN (SELECT inhrelid FROM pg_inherits
                                  WHERE inhparent = 'notifications_attempt'::regclass)"""
        )
        partitions, columns = cursor.fetchone()
    assert partitions > 1
    assert columns == 5 * partitions


@pytest.mark.parametrize("body", ["it's", "@/etc/passwd", '$(id) `id` \\ "x" ë€\n\ttail\n'])
def test_a_curl_command_says_to_a_shell_exactly_what_was_sent(body):
    head = "POST /h?a=$x HTTP/1.1\nHost: r.example.test\nContent-Length: 4\nx-quoted: it's $HOME\nx-empty: "
    command = curl.command(head, body)
    said = subprocess.run(
        ["sh", "-c", "curl() { for each; do printf '%s\\0' \"$each\"; done; }; " + command],
        check=True,
        capture_output=True,
    )
    assert said.stdout.decode().split("\0")[:-1] == [
        "-i", "https://r.example.test/h?a=$x", "-H", "x-quoted: it's $HOME", "-H", "x-empty;", "--data-raw", body,
    ]  # fmt: skip
