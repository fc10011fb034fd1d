"""API keys: made here, shown once, revoked here, never deleted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from events import keys
from events.models import ApiKey, Scope

from .audit import operator_acted
from .page import Page, count, reason_of
from .secret_page import show_once
from .typed import ModelForm

RECORD = ("prefix", "state", "last_used_at", "revoked_at", "created_at", "created_by")


class ApiKeyForm(ModelForm[ApiKey]):
    """A key with its scopes as checkboxes."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key may do at all. Its subscriber's grants say on which queues.",
        error_messages={"required": "Choose at least one scope."},
    )

    class Meta:
        model = ApiKey
        fields = ["subscriber", "name", "scopes", "is_operator", "expires_at"]

    def clean_expires_at(self) -> Any:
        """A time to come, unless it is the one that is stored."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise ValidationError("Choose a time to come. To stop a key now, revoke it.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(Page[ApiKey]):
    """Credentials of the HTTP API."""

    form = ApiKeyForm
    empty_help = (
        "A key lets a program publish events or manage configuration. It belongs to a "
        "subscriber: add that first."
    )
    list_display = [
        "name",
        "prefix",
        "subscriber",
        "is_operator",
        "state",
        "expires_at",
        "last_used_at",
        "created_at",
    ]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter), "subscriber"]
    list_select_related = ["subscriber"]
    search_fields = ["name", "prefix", "subscriber__name"]
    search_help_text = "Name, prefix or subscriber"
    autocomplete_fields = ["subscriber"]
    actions = ["revoke"]
    buttons = ["revoke"]

    def get_fieldsets(self, _request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """What is asked for; later, with the scopes as text, also what has become of it."""
        asked = ["subscriber", "name", "scopes", "is_operator", "expires_at"]
        settled = ["subscriber", "name", "scope_list", "is_operator", "expires_at", *RECORD]
        return [(None, {"fields": settled if obj else asked})]

    def get_readonly_fields(self, _request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """What a key may do is settled when it is made: make another to change it."""
        return ["subscriber", "scope_list", "is_operator", *RECORD] if obj else []

    @admin.display(description="scopes")
    def scope_list(self, row: ApiKey) -> str:
        """The scopes, each with what it allows."""
        labels = dict(Scope.choices)
        return ", ".join(f"{scope} ({labels.get(scope, 'unknown')})" for scope in row.scopes)

    @admin.display(description="state")
    def state(self, row: ApiKey) -> str:
        """Whether it works, and if not, why."""
        if row.revoked_at:
            return "revoked"
        if row.expires_at and row.expires_at <= timezone.now():
            return "expired"
        return "usable" if row.subscriber.is_active else "subscriber inactive"

    def offers(self, _name: str, row: ApiKey) -> bool:
        """A key is revoked once."""
        return row.revoked_at is None

    def has_delete_permission(self, _request: HttpRequest, _obj: ApiKey | None = None) -> bool:
        """Keys stay as a record; revoke them."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Give a new key its secret, and keep only the digest."""
        if change:
            super().save_model(request, obj, form, change)
            return
        secret, obj.prefix = keys.new_token()
        obj.digest = keys.digest(secret)
        obj.created_by_id = request.user.pk
        super().save_model(request, obj, form, change)
        # For response_add, which gets this very object; it is no field, so nothing stores it.
        obj._secret = secret  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret, in this answer only."""
        return show_once(
            request,
            self.admin_site,
            obj,
            secret=obj._secret,  # type: ignore[attr-defined]
            title="The new API key",
            use="Send it with every request as the header Authorization: Bearer <key>.",
        )

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Stop keys from working, for good."""
        with transaction.atomic():
            usable = list(queryset.select_for_update(of=["self"]).filter(revoked_at=None))
            for key in usable:
                key.revoked_at = timezone.now()
                # One by one: saving tells the authentication of this process.
                key.save(update_fields=["revoked_at"])
            operator_acted.send(
                ApiKey,
                actor=request.user,
                action="api_key.revoke",
                subjects=[key.prefix for key in usable],
                reason=reason_of(request),
            )
        self.tell(request, f"{count(len(usable), 'key')} revoked.")
