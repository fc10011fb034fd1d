"""Lists of the console that have no rows yet: what they are for, and how the first row comes about."""

from typing import Any

from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from events.admin.page import Page


def test_an_empty_list_says_how_its_first_row_comes_about(client: Client, admin_user: Any) -> None:
    client.force_login(admin_user)
    shown = 0
    for page in admin.site._registry.values():
        if not isinstance(page, Page) or not page.empty_help or page.model.objects.exists():
            continue
        text = client.get(reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")).text
        assert escape(page.empty_help) in text, page
        shown += 1
    assert shown == 23


def test_a_search_that_finds_nothing_leads_back_to_all(client: Client, admin_user: Any) -> None:
    client.force_login(admin_user)
    text = client.get(reverse("admin:notifications_subscription_changelist"), {"q": "nowhere"}).text
    assert "Nothing fits this search" in text
    assert "A subscription says who gets which events" not in text
