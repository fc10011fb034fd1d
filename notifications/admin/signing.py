"""Rotating and revealing what an endpoint signs with: pages that ask first, and show a secret once."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from events.admin.page import reason_of, utc
from events.admin.secret_page import show_once
from notifications.endpoint_forms import RevealForm, RotateForm
from notifications.models import Endpoint, RetiredSecret
from notifications.reveal import PERMISSION, reveal
from notifications.rotate import Key, rotate
from smtpprofiles.encryption import SecretUnreadable

from .destination import DestinationPage

COPY_NOW = "Copy it now. It is shown once, on this page only; later only to who may reveal it, with a reason."
USE = "The receiver verifies the header webhook-signature with it, by Standard Webhooks."


class SigningPage(DestinationPage[Endpoint]):
    """An endpoint's page with buttons that rotate and reveal."""

    actions = ["pause", "resume", "rotate", "reveal"]
    buttons = ["pause", "resume", "rotate", "reveal"]
    button_help = {
        **DestinationPage.button_help,
        "rotate": "Asks for how long the old one signs beside the new, then shows the new one once.",
        "reveal": "Asks why, writes that down, and shows the signing secret.",
    }

    def offers(self, name: str, row: Endpoint) -> bool:
        """Signing goes on whether it is in use or not."""
        return name in ("rotate", "reveal") or super().offers(name, row)

    def has_reveal_permission(self, request: HttpRequest) -> bool:
        """Who may see a signing secret again."""
        return request.user.has_perm(PERMISSION)

    def get_urls(self) -> list[URLPattern]:
        """Beside the others, the pages that rotate and reveal."""
        page = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<int:pk>/rotate/", self.admin_site.admin_view(self.rotate_view), name=f"{page}_rotate"),
            path("<int:pk>/reveal/", self.admin_site.admin_view(self.reveal_view), name=f"{page}_reveal"),
            *super().get_urls(),
        ]

    @admin.action(description="Rotate signing secret…", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Ask what is rotated, and with which overlap."""
        row = self._only_one(request, queryset)
        return (
            self._rotate_page(request, row, RotateForm(initial={"reason": reason_of(request)}))
            if row
            else None
        )

    @admin.action(description="Reveal signing secret…", permissions=["reveal"])
    def reveal(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Ask why."""
        row = self._only_one(request, queryset)
        return (
            self._reveal_page(request, row, RevealForm(initial={"reason": reason_of(request)}))
            if row
            else None
        )

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST rotates and shows what the receiver needs."""
        row = self._row(request, pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        form = RotateForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._rotate_page(request, row, form)
        key, hours = form.cleaned_data["key"], form.cleaned_data["overlap_hours"]
        try:
            endpoint, until = rotate(
                pk, key, overlap_hours=hours, actor=request.user, reason=form.cleaned_data["reason"]
            )
        except ValidationError as error:
            form.add_error(None, error)
            return self._rotate_page(request, row, form)
        former = (
            f" The former one signs too until {utc(until)}." if until else " The former one signs no more."
        )
        if key == Key.ED25519:
            self.tell(
                request, f"The key pair was replaced: the receiver verifies with the new public key.{former}"
            )
            return self._back([pk])
        return show_once(
            request, self.admin_site, endpoint,
            secret=endpoint.secret, title="The endpoint's new signing secret", use=USE + former, note=COPY_NOW,
        )  # fmt: skip

    def reveal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks why, POST shows the secret, in this answer only."""
        row = self._row(request, pk)
        if not self.has_reveal_permission(request):
            raise PermissionDenied
        form = RevealForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._reveal_page(request, row, form)
        try:
            secret = reveal(pk, actor=request.user, reason=form.cleaned_data["reason"])
        except (ValidationError, SecretUnreadable) as error:
            form.add_error(None, error if isinstance(error, ValidationError) else str(error))
            return self._reveal_page(request, row, form)
        return show_once(
            request, self.admin_site, row,
            secret=secret, title="The endpoint's signing secret", use=USE,
            note="It is shown on this page only. That you have seen it is in the audit log.",
        )  # fmt: skip

    def _rotate_page(self, request: HttpRequest, row: Endpoint, form: forms.Form) -> HttpResponse:
        still = RetiredSecret.objects.filter(endpoint=row, signs_until__gt=timezone.now()).defer("secret")
        told = ["A new one is made, and signs from then on. It is shown once, on the next page."]
        if not row.signs_ed25519:
            told.append("This endpoint has no Ed25519 key pair; tick that under Authentication to have one.")
        told += [f"A former one still signs {one}." for one in still]
        return self._ask(request, row, form, name="rotate", verb="Rotate", told=told)

    def _reveal_page(self, request: HttpRequest, row: Endpoint, form: forms.Form) -> HttpResponse:
        told = ["Whoever knows the signing secret can pass for this system at the receiver."]
        return self._ask(request, row, form, name="reveal", verb="Reveal", told=told)

    def _ask(
        self, request: HttpRequest, row: Endpoint, form: forms.Form, *, name: str, verb: str, told: list[str]
    ) -> HttpResponse:
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"{verb} signing secret of {row}",
            "opts": self.opts,
            "row": row,
            "told": told,
            "form": form,
            "verb": verb,
            "ask_url": reverse(f"{page}_{name}", args=[row.pk]),
            "list_url": reverse(f"{page}_changelist"),
            "back_url": self._back([row.pk]).url,
        }
        return TemplateResponse(request, "admin/ask.html", context)

    def _row(self, request: HttpRequest, pk: int) -> Endpoint:
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        return row

    def _only_one(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> Endpoint | None:
        rows = list(queryset[:2])
        if len(rows) != 1:
            self.tell(request, "Nothing was changed.", ["Choose one endpoint: each has a secret of its own."])
            return None
        return rows[0]
