"""Mail templates: put together, in the reader's language, checked at save, and safe whatever they are given."""

import re
from datetime import UTC, datetime
from email import message_from_string, policy
from email.message import EmailMessage
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from events.catalog import BUILTIN
from events.catalog.derive import sample
from events.models import EventType
from events.objects import report
from events.publish import publish
from notifications import assemble, letters, liquid, mail, specimen, vet_mail
from notifications.destinations import Notification
from notifications.engine import Engine
from notifications.liquid_places import place
from notifications.models import (
    Attempt,
    AuditEntry,
    Delivery,
    EmailLayout,
    EmailPartial,
    EmailTemplate,
    EmailVariant,
)
from notifications.retry import Schedule
from tests import tables
from tests.factories import EmailSubscriptionFactory, EmailTemplateFactory, SmtpProfileFactory

SENDER: Any = SimpleNamespace(from_name="Ärger & Co", from_address="billing@example.com", reply_to="")
INVOICE = {"invoice": {"number": "INV-7", "total": "1234.50", "currency": "EUR", "date": "2026-11-22"}}


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    return {each.code: each for each in EventType.objects.all()}


def composed(
    *,
    subject: str = "S",
    text: str = "T",
    html: str = "",
    variants: tuple[EmailVariant, ...] = (),
    layout: EmailLayout | None = None,
    partials: assemble.Partials = (),
    preheader: str = "",
    opt_out_of: int | None = None,
    **context: Any,
) -> EmailMessage:
    template = EmailTemplate(subject=subject, text=text, html=html, preheader=preheader)
    letter = assemble.letter_of(template, layout=layout, variants=list(variants), partials=partials)
    notification = Notification(
        queue="",
        is_paused=False,
        skips_failures=False,
        schedule=Schedule(),
        parameters=(),
        letter=letter,
        opt_out_of=opt_out_of,
    )
    raw = mail.compose(
        notification,
        SENDER,
        context,
        recipient="reader@example.com",
        public_id="dlv_1",
        now=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return message_from_string(raw, policy=policy.default)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    return found.get_content() if isinstance(found, EmailMessage) else ""


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("de-AT", "Grüß Gott"),
        ("de_AT", "Grüß Gott"),
        ("de-CH", "Guten Tag"),
        ("de", "Guten Tag"),
        ("en-GB", "Hello"),
        ("fr-FR", "Hello"),
        ("", "Hello"),
        ("nonsense; DROP", "Hello"),
    ],
)
def test_a_mail_is_in_the_accounts_locale_else_its_language_else_the_templates_own(locale, expected):
    variants = tuple(
        EmailVariant(locale=name, subject="S", text=text)
        for name, text in (("de-AT", "Grüß Gott"), ("de", "Guten Tag"))
    )
    message = composed(text="Hello", variants=variants, account={"locale": locale})
    assert part(message, "plain").strip() == expected


@pytest.mark.parametrize(
    ("source", "locale", "zone", "expected"),
    [
        ('{{ "1234.5" | money: "EUR" }}', "de-DE", "", "1.234,50\xa0€"),
        ('{{ "1234.5" | money: "EUR" }}', "en-US", "", "€1,234.50"),
        ('{{ "19.905" | money: "USD" }}', "en-US", "", "$19.905"),
        ('{{ "1234" | money: "JPY" }}', "en-US", "", "¥1,234"),
        ('{{ "1.5" | money: "KWD" }}', "en-US", "", "KWD\xa01.500"),
        ('{{ "1234.5" | money }}', "de-DE", "", "1.234,50"),
        ('{{ "12345678901234567890123456789012345.67" | money: "EUR" }}', "en-US", "",
         "€12,345,678,901,234,567,890,123,456,789,012,345.67"),
        ('{{ "1234567.50" | number }}', "de-DE", "", "1.234.567,50"),
        ('{{ "1234567" | number }}', "en-IN", "", "12,34,567"),
        ('{{ "2.345" | number: 2 }}', "fr-FR", "", "2,35"),
        ('{{ "2026-11-22" | date: "long" }}', "de-DE", "", "22. November 2026"),
        ('{{ "2026-03-02" | date: "%-d %B %Y, %A" }}', "fr-FR", "", "2 mars 2026, lundi"),
        ('{{ "2026-11-22T23:30:00Z" | date: "%H:%M" }}', "en-US", "Europe/Vienna", "00:30"),
        ('{{ "2026-11-22T23:30:00Z" | date: "%H:%M", "UTC" }}', "en-US", "Europe/Vienna", "23:30"),
        ('{{ "2026-11-22T23:30:00Z" | date: "%H:%M" }}', "en-US", "Nowhere/Else", "23:30"),
        ("{{ '2026-11-22' | date }}", "en-GB", "", "22 Nov 2026"),
    ],
)  # fmt: skip
def test_amounts_numbers_and_dates_are_written_as_the_reader_does(source, locale, zone, expected):
    assert liquid.render(source, {}, kind="text", place=place(locale, zone)) == expected


def test_words_in_another_language_keep_their_own_way_of_writing():
    message = composed(text="{{ '1234.5' | money: 'EUR' }}", account={"locale": "de-AT"})
    assert part(message, "plain").strip() == "€1,234.50"


def test_layout_partial_preheader_and_style_sheet_are_put_together():
    layout = EmailLayout(
        html="<html><head><style>.b{color:red} @media (max-width: 9px){.b{color:blue}}</style></head>"
        '<body><table>{{ content }}</table>{% render "foot" %}</body></html>',
        text="== {{ content }} ==",
    )
    message = composed(
        text="Total {{ invoice.total }}",
        html='{% for line in lines %}<tr><td class="b"{% if line > 1 %} title="{{ line }}"{% endif %}>{{ line }}'
        "</td></tr>{% endfor %}",
        layout=layout,
        partials=(("foot", "<p>Bye {{ invoice.number }}</p>", ""),),
        preheader="{{ invoice.number }} is here",
        lines=[1, 2],
        **INVOICE,
    )
    html = part(message, "html")
    assert (html.count('class="b"'), html.count('style="color: red;"')) == (2, 2)
    assert [f'title="{n}"' in html for n in (1, 2)] == [False, True]
    assert html.index("<table>") < html.index(">1</td>") < html.index(">2</td>") < html.index("</table>")
    assert html.index("<body>") < html.index("INV-7 is here") < html.index("<table>")
    assert ("@media (max-width: 9px)" in html, ".b{color:red}" in html) == (True, False)
    assert "<p>Bye INV-7</p>" in html
    assert part(message, "plain").strip() == "== Total 1234.50 =="


def test_style_sheets_are_inlined_from_the_template_alone(tmp_path):
    sheet = tmp_path / "leak.css"
    sheet.write_text("p { color: red }")
    html = (
        f'<style>p{{margin:0}}</style><link rel="stylesheet" href="file://{sheet}">'
        '<link rel="stylesheet" href="http://127.0.0.1:9/a.css"><p>x</p>'
    )
    assert '<p style="margin: 0;">x</p>' in part(composed(html=html), "html")


def test_the_text_is_made_of_the_html_where_none_is_written():
    message = composed(
        text="",
        html="<h1>Invoice {{ invoice.number }}</h1><table><tr><td>Total</td><td>{{ invoice.total }}</td></tr>"
        "{% for line in lines %}<tr><td>Line</td><td>{{ line }}</td></tr>{% endfor %}</table>"
        '<p><a href="https://x.example/{{ invoice.number }}">Pay</a></p>',
        lines=["a & b", "c"],
        **INVOICE,
    )
    lines = [line.rstrip() for line in part(message, "plain").splitlines() if line.strip()]
    assert [" ".join(line.split()) for line in lines] == [
        "Invoice INV-7",
        "Total 1234.50",
        "Line a & b",
        "Line c",
        "[Pay](https://x.example/INV-7)",
    ]


HOSTILE = '<script>alert(1)</script> & "q"'


def test_html_in_a_token_value_is_escaped_in_html_and_plain_in_text():
    message = composed(
        subject="{{ name }}", text="{{ name }}", html="<p title='{{ name }}'>{{ name }}</p>", name=HOSTILE
    )
    assert part(message, "plain").strip() == HOSTILE
    assert message["Subject"] == HOSTILE
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;q&#34;"
    assert part(message, "html").strip() == f"<p title='{escaped}'>{escaped}</p>"


@pytest.mark.parametrize("separator", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x00", "\x85", "\u2028", "\x1e"])
def test_a_token_value_starts_no_header(separator):
    message = composed(
        subject="Hi {{ name }}", name=f"a{separator}Bcc: all@example.com{separator}{separator}b"
    )
    assert message["Subject"] == "Hi a Bcc: all@example.com b"
    assert (message["Bcc"], message.defects) == (None, [])
    assert sorted(message.keys()) == [
        "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version",
        "Message-ID", "Subject", "To", "X-Auto-Response-Suppress",
    ]  # fmt: skip


BOMBS = {
    "loops": "{% for a in (1..5000) %}{% for b in (1..5000) %}x{% endfor %}{% endfor %}",
    "huge output": "{% for a in (1..5000) %}{{ big }}{% endfor %}",
    "huge replace": '{{ big | replace: "x", big }}',
    "huge range": '{{ (1..30000000) | join: "," }}',
    "deep data": "{{ deep }}",
    "growing text": "{% assign a = big %}{% for i in (1..40) %}{% assign a = a | append: a %}{% endfor %}",
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS)
def test_a_template_bomb_ends_as_a_fault_that_says_why(source):
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(liquid.TemplateFault) as caught:
        composed(text=source, big="x" * 100_000, deep=deep)
    assert len(str(caught.value)) > 20


def test_a_bomb_is_told_on_the_delivery_and_the_worker_goes_on(catalog, smtp_sink):
    SmtpProfileFactory()
    template = EmailTemplateFactory(text=BOMBS["loops"])
    EmailSubscriptionFactory(email_template=template, address="bomb@example.com")
    EmailSubscriptionFactory(address="well@example.com")
    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    bomb, well = (Delivery.objects.get(recipient=f"{name}@example.com") for name in ("bomb", "well"))
    assert (bomb.status, well.status) == ("held", "delivered")
    assert "loop iteration limit" in bomb.last_error
    assert Attempt.objects.filter(delivery=well).count() == 1


def faults(template: EmailTemplate, types: list[EventType], *variants: EmailVariant) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        vet_mail.check_template(template, event_types=types, variants=list(variants))
    return caught.value.message_dict


def test_every_part_is_checked_against_what_all_event_types_offer(types):
    template = EmailTemplate(
        subject="{{ invoice.numbr }}",
        preheader="{{ bill_run.id }}",
        text="{{ invoice.total }}",
        html="<p>x</p>",
    )
    german = EmailVariant(locale="de", subject="{{ account.nme }}", text="{{ unsubscribe.url }}")
    found = faults(template, [types["invoice.posted"]], german)
    assert sorted(found) == ["preheader", "subject", "variants"]
    assert found["subject"][0].endswith("Did you mean “invoice.number”?")
    assert found["variants"] == [
        "de, subject: “account.nme” cannot be used here: invoice.posted does not offer it. "
        "Did you mean “account.name”?"
    ]
    run = faults(EmailTemplate(subject="{{ account.name }}", text="T"), [types["bill_run.started"]])
    assert "a bill run covers many accounts" in run["subject"][0]


def test_a_layout_or_partial_must_suit_the_templates_that_have_it(types):
    layout = EmailLayout.objects.create(name="L", html='<p>{{ content }}</p>{% render "foot" %}')
    partial = EmailPartial.objects.create(name="foot", html="<p>bye</p>")
    template = EmailTemplateFactory(name="Run", layout=layout, subject="S", text="T", html="<b>x</b>")
    template.event_types.add(types["bill_run.started"])
    partial.html = "{{ account.name }}"
    for check, expected in (
        (lambda: vet_mail.check_partial(partial), "a bill run covers many accounts"),
        (lambda: vet_mail.check_partial(partial, is_deleted=True), "There is no partial “foot”"),
        (lambda: vet_mail.check_partial(EmailPartial(name="b", html='{% render "foot" %}')), "another one"),
        (lambda: vet_mail.check_layout(EmailLayout(html="{{ content }}{% if %}")), "missing expression"),
        (
            lambda: vet_mail.check_layout(EmailLayout(html="{{ content }}" + "<div>" * 300 + "<style>")),
            "nested",
        ),
        (EmailLayout(name="two", html="{{ content }}{{ content }}").full_clean, "it is there 2 times"),
    ):
        with pytest.raises(ValidationError) as caught:
            check()
        assert expected in str(caught.value)


def test_the_products_mails_are_installed_once_and_stay_as_they_were_edited(types):
    made = letters.install()
    assert {each.event_types.get().code for each in made} == {each.code for each in BUILTIN}
    assert len(made) == 17
    edited, gone = made[0], made[1]
    EmailTemplate.objects.filter(pk=edited.pk).update(subject="Mine")
    gone.delete()
    assert letters.install() == []
    [again] = letters.install(again=True)
    assert again.name == gone.name
    edited.refresh_from_db()
    assert edited.subject == "Mine"
    assert AuditEntry.objects.filter(action="emailtemplate.install").count() == 18


@pytest.mark.parametrize("letter", letters.defaults(), ids=lambda letter: letter.event_type)
def test_the_products_mails_leave_out_what_an_event_need_not_say(letter):
    spec = next(each for each in BUILTIN if each.code == letter.event_type)
    context: dict[str, Any] = {}
    for path in {spec.ordering_path, *spec.required}:
        group, name = path.split(".")
        context.setdefault(group, {})[name] = sample(spec)[group][name]

    message = composed(
        subject=letter.subject, preheader=letter.preheader, text=letter.text, html=letter.html, **context
    )

    text, html = part(message, "plain"), part(message, "html")
    assert not re.search(r"  | $| [,.:%]|\(\)| (of|for|by|to) (did|was|$)", f"{message['subject']}")
    assert [line for line in text.splitlines() if re.search(r":\s*$|\(\)| [,.]|\S  \S", line)] == []
    assert not re.search(r'<td class="value">\s*</td>|href=""|Hello ,', html)
    assert "Hello," in text if letter.is_to_customer else "Hello" not in text


def test_a_layout_of_their_name_that_does_not_fit_stops_nothing(types):
    EmailLayout.objects.create(name=letters.LAYOUT, html="{{ content }}{{ invoice.nothing }}")
    call_command("sync_catalog", stdout=StringIO())
    assert not EmailTemplate.objects.exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ '1.0' | number }} {{ '1.00' | number }}", "1.0 1.00"),
        (
            "{{ at | date: '%H:%M %Z', 'UTC' }} {{ at | date: '%H:%M %Z', 'Europe/London' }}",
            "14:03 UTC 14:03 GMT",
        ),
    ],
)
def test_what_is_equal_is_not_written_alike(source, expected):
    assert (
        liquid.render(source, {"at": "2026-11-22T14:03:09Z"}, kind="text", place=place("en-US", ""))
        == expected
    )


def test_what_the_payload_lacks_is_that_of_the_account_as_the_event_found_it(catalog, smtp_sink):
    """The words, and the choice of the language: at the first try, and in a preview of the event later."""
    SmtpProfileFactory()
    template = EmailTemplateFactory(
        subject="For {{ account.display_name }}", text="Until {{ invoice.due_date }}."
    )
    EmailVariant.objects.create(
        template=template, locale="de", subject="An {{ account.display_name }}", text="-"
    )
    EmailSubscriptionFactory(email_template=template, address="billing@example.com")
    report("account", "1001", {"display_name": "Example GmbH", "locale": "de-AT"})
    event = publish("invoice.posted", {"account": {"id": "1001"}, "invoice": {"id": "7"}}).event
    report("account", "1001", {"display_name": "Renamed", "locale": "en"})

    Engine(until_idle=True).run()

    [sent] = smtp_sink.mails
    assert sent.parsed()["Subject"] == "An Example GmbH"
    seen = specimen.make(template, event_type=catalog["invoice.posted"], event_id=event.public_id)
    assert dict(seen.headers)["Subject"] == "An Example GmbH"
