"""Rows are checked again when the tokens of their event types change."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events import catalog, kinds, sync
from events.models import EventType, Token
from events.signals import catalog_synced
from notifications import misfits
from notifications.models import EmailTemplate, Misfit, Parameter, Subscription
from project import diagnose
from tests import console_form
from tests.factories import EmailSubscriptionFactory, WebhookSubscriptionFactory

pytestmark = pytest.mark.django_db

NAMES = ("note.id", "note.text", "note.mail")


@pytest.fixture
def note(db: None) -> EventType:
    """An administrator's own event type, with what uses each of its tokens."""
    made = EventType.objects.create(
        code="note.written", label="Note", resource="note", operation="create", category="own",
        sample={"note": {"id": "5", "text": "words", "mail": "a@example.com"}},
    )  # fmt: skip
    for name in NAMES:
        Token.objects.create(event_type=made, name=name, group="note", kind="string", sample="x")
    callout: Any = WebhookSubscriptionFactory(name="CRM")
    Parameter.objects.create(subscription=callout, name="text", source="token", value="note.text")
    callout.filters.create(token="note.id", operator="is", value="5")
    mails: Any = EmailSubscriptionFactory(name="Team", email_template__name="Words")
    mails.email_template.event_types.set([made])
    EmailTemplate.objects.update(subject="{{ note.text }}", text="Words", html="")
    mails.recipients.create(token="note.mail")
    return made


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    client.force_login(admin_user)
    return client


def edit(console: Client, note: EventType, *, without: str, **more: Any) -> Any:
    url = reverse("admin:events_eventtype_change", args=[note.pk])
    form = console_form.read(console.get(url), "eventtype")
    at = next(number for number in range(3) if form[f"tokens-{number}-name"] == [without])
    return console.post(url, {**form, f"tokens-{at}-DELETE": "on", **more}, follow=True)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("note.text", ["CRM", "Team", "Words"]),
        ("note.id", ["CRM"]),
        ("note.mail", ["Team"]),
    ],
)
def test_an_edit_that_breaks_rows_is_refused_by_name_and_saved_when_a_person_wants_it(
    console: Client, note: EventType, name: str, broken: list[str]
) -> None:
    text = edit(console, note, without=name).text
    for row in ("CRM", "Team", "Words"):
        assert (f"“{row}”" in text) == (row in broken)
    assert "tick “Save although rows no longer fit”" in text
    assert (note.tokens.filter(name=name).exists(), Misfit.objects.count()) == (True, 0)

    text = edit(console, note, without=name, saves_anyway="on").text
    assert f"{len(broken)} row{'s need' if len(broken) > 1 else ' needs'} attention" in text
    assert not note.tokens.filter(name=name).exists()
    assert sorted(str(each) for each in Misfit.objects.all()) == broken
    listed = console.get(reverse("admin:notifications_misfit_changelist")).text
    for row in broken:
        assert f">{row}</a>" in listed
    found = diagnose._misfits()
    assert (found.is_well, found.detail.split()[0]) == (True, str(len(broken)))


def test_an_edit_that_breaks_nothing_is_saved(console: Client, note: EventType) -> None:
    Token.objects.create(event_type=note, name="note.other", group="note", kind="string")
    url = reverse("admin:events_eventtype_change", args=[note.pk])
    form = console_form.read(console.get(url), "eventtype")
    at = next(number for number in range(4) if form[f"tokens-{number}-name"] == ["note.other"])
    text = console.post(url, {**form, f"tokens-{at}-DELETE": "on"}, follow=True).text
    assert "was changed successfully" in text
    assert list(note.tokens.order_by("pk").values_list("name", flat=True)) == list(NAMES)


def test_a_sync_flags_rows_and_mending_one_clears_it(
    console: Client, django_capture_on_commit_callbacks: Any
) -> None:
    sync.sync()
    kinds.sync()
    posted = EventType.objects.get(code="invoice.posted")
    row: Any = WebhookSubscriptionFactory(name="CRM")
    row.event_types.set([posted])
    parameter = Parameter.objects.create(subscription=row, name="url", source="token", value="invoice.gone")
    Token.objects.create(event_type=posted, name="invoice.gone", group="invoice", kind="string")
    assert (misfits.recheck_all(), Misfit.objects.count()) == (0, 0)
    Token.objects.filter(name="invoice.gone").delete()
    catalog_synced.send(sender=None)
    [misfit] = Misfit.objects.all()
    assert "“invoice.gone” cannot be used here" in misfit.told
    page = reverse("admin:notifications_subscription_change", args=[row.pk])
    assert "Needs attention." in console.get(page).text
    assert "CRM" in console.get(reverse("admin:notifications_subscription_changelist") + "?fit=no").text
    assert (
        "The subscription “CRM”"
        in console.get(reverse("admin:events_eventtype_change", args=[posted.pk])).text
    )
    with django_capture_on_commit_callbacks(execute=True):
        parameter.value = "invoice.number"
        parameter.save()
    assert not Misfit.objects.exists()
    assert "Fits the tokens of its event types." in console.get(page).text
    assert Subscription.objects.filter(misfit=None).count() == 1
    assert len(catalog.SHIPPED) > 16
