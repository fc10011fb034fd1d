"""Rows whose secrets no key opens can be looked at, deleted and put right; nothing about them is an error of ours."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.utils import NestedObjects
from django.db import transaction
from django.test import Client
from django.urls import reverse

from events.models import Subscriber
from notifications.models import (
    AuditEntry,
    Endpoint,
    EndpointHeader,
    FeedbackAddress,
    Parameter,
    RetiredSecret,
    Subscription,
)
from smtpprofiles.encryption import SecretUnreadable, Unopened, unopened
from smtpprofiles.models import SmtpProfile
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory
from tests.notifications.test_audit_log import change


@pytest.fixture
def sealed(console: Client, event_types: None, hooks: Any, settings: Any) -> Any:
    """Secrets everywhere, and the key that opened them gone."""
    endpoint = hooks.endpoint
    EndpointHeader.objects.create(endpoint=endpoint, name="X-A", is_secret=True, secret_value="s")
    RetiredSecret.objects.create(endpoint=endpoint, secret="whsec_old", signs_until="2100-01-01T00:00Z")
    Parameter.objects.create(
        subscription=hooks, name="key", source="static", is_secret=True, secret="s", placement="header"
    )
    profile = SmtpProfileFactory(name="billing")
    FeedbackAddress.objects.create(profile=profile, provider="brevo", token_hash="x", signing_key="s")
    EmailSubscriptionFactory(profile=profile)
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    return hooks


def page(row: Any, which: str) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{which}", args=[row.pk])


@pytest.mark.parametrize("way", ["page", "action"])
@pytest.mark.parametrize("model", [Subscription, Endpoint, SmtpProfile, Subscriber, FeedbackAddress])
def test_it_is_deleted_whatever_no_key_opens(console: Client, sealed: Any, model: Any, way: str) -> None:
    if model is not Subscription:
        with unopened():
            Subscription.objects.all().delete()  # which protect what they use
    row = model._default_manager.only("pk").first()
    if way == "page":
        asked = console.get(page(row, "delete"))
        done = console.post(page(row, "delete"), {"post": "yes"})
    else:
        chosen = {"action": "delete_selected", "_selected_action": [row.pk]}
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        asked = console.post(url, chosen)
        done = console.post(url, {**chosen, "post": "yes"})
    assert (asked.status_code, done.status_code) == (200, 302), asked.context["protected"]
    assert not model._default_manager.filter(pk=row.pk).exists()
    assert AuditEntry.objects.filter(action=f"{model._meta.model_name}.delete").count() == 1


def test_every_page_and_button_of_such_rows_says_what_to_do(console: Client, sealed: Any) -> None:
    """Whatever can be pressed ends in a page of ours, and never in an error of ours."""
    rows = [sealed, sealed.endpoint, *SmtpProfile.objects.only("pk"), *FeedbackAddress.objects.only("pk")]
    told: dict[str, int] = {}
    for row in rows:
        base = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        told[f"{row._meta.model_name} list"] = console.get(reverse(f"{base}_changelist")).status_code
        shown = console.get(reverse(f"{base}_change", args=[row.pk]))
        told[f"{row._meta.model_name} page"] = shown.status_code
        for button in shown.context["buttons"] if shown.status_code == 200 else ():
            answer = console.post(button["url"])
            told[button["url"]] = answer.status_code
            if answer.status_code == 409:
                assert b"SECRETS_KEYS" in answer.content
    assert set(told.values()) <= {200, 302, 409}, told


def test_a_secret_is_entered_again(console: Client, sealed: Any) -> None:
    change(console, SmtpProfile.objects.only("pk").get(), new_password="a-new-one")
    assert SmtpProfile.objects.get().password == "a-new-one"


def test_what_is_read_unopened_has_no_text_and_is_not_stored(sealed: Any) -> None:
    with unopened():
        endpoint = Endpoint.objects.get()
        collector = NestedObjects("default")
        collector.collect([endpoint])
    assert isinstance(endpoint.secret, Unopened)
    assert repr(endpoint.secret) == "<a secret, not opened>"
    with pytest.raises(TypeError, match="read it again"), transaction.atomic():
        endpoint.save()
    with pytest.raises(SecretUnreadable):
        Endpoint.objects.get()
