"""The bytes of a callout: the payload as it was published, in the standard envelope or in an administrator's JSON."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from events.models import BillingObject, EventType
from events.publish import publish
from notifications import operate, payload_template
from notifications.engine import Engine
from notifications.models import Delivery, Parameter
from notifications.tokens import offer
from tests.factories import WebhookSubscriptionFactory

EXACT = '{"amount":19.90,"z":1,"a":"ë€","n":12345678901234567890}'
CHAT = """{
  "text": "{{ event.label }}: {{ note.text }}",
  "fields": [{% for each in note.list %}{{ each | json }}{% unless forloop.last %}, {% endunless %}{% endfor %}],
  "total": {{ note.total }},
  "key": {{ parameters.key | json }},
  "event": {{ data }}
}"""


@pytest.fixture
def note(catalog: dict[str, EventType]) -> EventType:
    """An administrator's own event type, whose payload may be anything."""
    event_type = EventType.objects.create(
        code="note.taken", label="Note taken", resource="note", operation="create", category="own",
        sample={"note": {"text": "hello", "total": "1.50", "list": ["a"]}},
    )  # fmt: skip
    kinds = {"note.text": "string", "note.total": "decimal", "note.list": "list", "event.label": "string"}
    for name, kind in kinds.items():
        event_type.tokens.create(name=name, group=name.partition(".")[0], kind=kind, sample="Note taken")
    return event_type


@pytest.mark.parametrize("template", ["", '{"wrapped": [{{ data }}, {{ data | json }}]}'])
def test_the_payload_reaches_the_receiver_as_it_was_published_at_every_try(
    note: EventType, https_receiver: Any, template: str
) -> None:
    subscription: Any = WebhookSubscriptionFactory(payload_template=template)
    https_receiver.script = lambda got: (500 if got.number == 1 else 204, {}, b"")
    publish("note.taken", EXACT, ordering_key="note:1")
    Engine(until_idle=True).run()
    operate.retry([Delivery.objects.get().pk], subscription.subscriber, "")
    Engine(until_idle=True).run()

    [first, second] = https_receiver.received
    assert first.body == second.body
    wanted = f'{{"wrapped": [{EXACT}, {EXACT}]}}' if template else f'"data": {EXACT}, '
    assert (first.body.decode() == wanted) if template else (wanted in first.body.decode())
    for request in (first, second):
        assert request.headers["content-type"] == "application/json"
        assert request.headers["bellwether-sequence"] == "1"
        assert request.headers["bellwether-lane"] == f"{subscription.pk}:note:1"


def test_a_receiver_gets_the_json_that_it_dictates_whatever_the_values_hold(
    note: EventType, https_receiver: Any
) -> None:
    subscription = WebhookSubscriptionFactory(payload_template=CHAT)
    Parameter.objects.create(subscription=subscription, name="key", value='a"b', source="static")
    data = json.dumps(
        {"note": {"text": 'say "hi"\\\n\u2028</script> {{ x }}', "total": "19.90", "list": ['"', "é", 1]}}
    )
    publish("note.taken", data, ordering_key="note:1")
    Engine(until_idle=True).run()

    [request] = https_receiver.received
    assert f'"total": 19.90,\n  "key": "a\\"b",\n  "event": {data}' in request.body.decode()
    assert json.loads(request.body) == {
        "text": 'Note taken: say "hi"\\\n\u2028</script> {{ x }}',
        "fields": ['"', "é", 1],
        "total": 19.9,
        "key": 'a"b',
        "event": json.loads(data),
    }


def test_what_makes_no_json_with_an_event_is_held_and_says_where(
    note: EventType, https_receiver: Any
) -> None:
    WebhookSubscriptionFactory(payload_template=CHAT.replace("{{ parameters.key | json }}", "1"))
    publish("note.taken", '{"note":{"text":"no total"}}', ordering_key="note:1")
    Engine(until_idle=True).run()

    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.hold_cause) == ("held", "rendering")
    assert delivery.last_error.startswith(
        "Payload template: it makes no JSON: Expecting value at line 4, column 12"
    )
    assert https_receiver.received == []


def test_a_template_takes_from_billing_objects_what_the_payload_lacks(
    note: EventType, https_receiver: Any
) -> None:
    BillingObject.objects.create(kind="note", external_id="5", state={"text": "from the object"})
    WebhookSubscriptionFactory(payload_template='{"text": "{{ note.text }}"}')
    publish("note.taken", '{"note":{"id":5}}', ordering_key="note:5")
    Engine(until_idle=True).run()
    assert https_receiver.received[0].body == b'{"text": "from the object"}'


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ('{"a": "{{ invoice.number }}", "b": {{ data }}, "c": {{ invoice.total | json }}}', ""),
        ('[{{ data.invoice.total | json }}, "{{ parameters.known }}", {{ parameters.known }}]', ""),
        ('{% capture t %}{{ account.display_name }}{% endcapture %}{"t": "{{ t }}"}', ""),
        ('{"a": {{ invoice.pdf_url }}}', "it makes no JSON: Expecting value at line 1, column 7"),
        ('{"a": "{{ invoice.number | json }}"}', "it makes no JSON"),
        ('{"a": 1,}', "it makes no JSON"),
        ('"{{ invoice.number }}"', "one JSON object or list: begin it with { or ["),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": "{{ invoice.numbr }}"}', "Did you mean “invoice.number”?"),
        ('{"a": "{{ data.invoice.numbr }}"}', "Did you mean “invoice.number”?"),
        ('{"a": "{{ contact.email }}"}', "contact tokens exist for email only"),
        ('{"a": "{{ data.contact.email }}"}', "contact tokens exist for email only"),
        (
            '{"a": {{ parameters.unknown }}}',
            "The parameters placed in the body: parameters.key, parameters.known.",
        ),
        ('{"a": {{ parameters.key }}}', "Put text values in quotes"),
        ('{"a": "{{ invoice.number"}', "never closed"),
        ('{% include "x" %}', "unexpected tag"),
    ],
)
def test_a_template_is_tried_before_it_is_saved(
    catalog: dict[str, EventType], template: str, fault: str
) -> None:
    offered = offer([catalog["invoice.posted"], catalog["invoice.overdue"]], medium="webhook")
    if not fault:
        payload_template.check(template, offered, parameters={"known": "1", "key": "a secret"})
        return
    with pytest.raises(ValidationError) as caught:
        payload_template.check(template, offered, parameters={"known": "1", "key": "a secret"})
    assert fault in " ".join(caught.value.messages)
