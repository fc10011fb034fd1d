"""Event types and their tokens. The built-in ones come from the catalog; administrators add their own."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.models import EventType, Token
from events.schema import InvalidSchemaError, checker

from .page import Page, clip
from .typed import ModelForm, TabularInline

# What stays a person's decision on a built-in type; the rest is synced from the catalog.
OWN_OF_BUILTIN = ("is_active", "retention_days")
CORE = "core"
AS_TEXT = ("sample_text", "schema_text", "token_table")


class IndentedJSONField(forms.JSONField):
    """JSON that is shown indented."""

    def prepare_value(self, value: Any) -> Any:
        """Indent what is stored; what was typed in stays as typed."""
        return super().prepare_value(value) if isinstance(value, str) else _as_text(value)


class EventTypeForm(ModelForm[EventType]):
    """An event type whose schema is one, and whose sample fits it."""

    class Meta:
        model = EventType
        fields = "__all__"
        field_classes = {"sample": IndentedJSONField, "schema": IndentedJSONField}

    def clean(self) -> dict[str, Any]:
        """Compile the schema and try the sample on it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        schema, sample = cleaned.get("schema"), cleaned.get("sample")
        if not isinstance(sample, dict | None):
            self.add_error("sample", 'Write one JSON object: {"account": {"id": "1001"}}.')
        elif isinstance(schema, dict) and schema:
            try:
                faults = checker(schema).errors(sample or {})
            except InvalidSchemaError as error:
                self.add_error("schema", error)
            else:
                for fault in faults[:5]:
                    self.add_error("sample", ValidationError(f"The schema refuses it: {fault.detail}"))
        return cleaned


class TokenInline(TabularInline[Token, EventType]):
    """The tokens of an administrator's own event type."""

    model = Token
    extra = 0
    fields = ["name", "group", "kind", "description", "sample", "email_only"]

    def get_formset(self, request: HttpRequest, obj: EventType | None = None, **kwargs: Any) -> Any:
        """Give the texts one line each, so that a page of fifty tokens can be read."""
        kwargs["widgets"] = {
            "description": forms.TextInput(attrs={"size": 40}),
            "sample": forms.TextInput(attrs={"size": 20}),
        }
        return super().get_formset(request, obj, **kwargs)


@admin.register(EventType)
class EventTypeAdmin(Page[EventType]):
    """The catalog."""

    form = EventTypeForm
    list_display = ["code", "label", "operation", "category", "ordering_key", "is_builtin", "is_active"]
    list_filter = ["is_builtin", "is_active", "operation", "category"]
    search_fields = ["code", "label", "description"]
    search_help_text = "Code, label or description"
    inlines = [TokenInline]
    fieldsets = [
        (
            None,
            {"fields": ["code", "label", "description", "resource", "operation", "category", "is_builtin"]},
        ),
        ("Use", {"fields": ["is_active", "retention_days"]}),
        (
            "Ordering key",
            {
                "fields": ["ordering_prefix", "ordering_path"],
                "description": "In-order queues deliver one after the other what has the same key.",
            },
        ),
        ("Payload", {"fields": ["sample", "schema"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        """Those of a built-in type end with its payload as text and its tokens as a table."""
        fieldsets = super().get_fieldsets(request, obj)
        if not self._is_to_read(request, obj):
            return fieldsets
        return [
            *fieldsets[:-1],
            ("Payload", {"fields": ["sample_text", "schema_text"]}),
            ("Tokens", {"fields": ["token_table"]}),
        ]

    def get_inlines(self, request: HttpRequest, obj: EventType | None) -> list[Any]:
        """Tokens are edited where they are the administrator's own."""
        return [] if self._is_to_read(request, obj) else list(self.inlines)

    def _is_to_read(self, request: HttpRequest, obj: EventType | None) -> bool:
        return obj is not None and (obj.is_builtin or not self.has_change_permission(request, obj))

    @admin.display(description="sample")
    def sample_text(self, row: EventType) -> SafeString:
        """The sample, indented."""
        return _indented(row.sample)

    @admin.display(description="schema")
    def schema_text(self, row: EventType) -> SafeString | str:
        """The schema, indented."""
        return _indented(row.schema) if row.schema else "—"

    @admin.display(description="tokens")
    def token_table(self, row: EventType) -> SafeString:
        """All of its tokens, to read."""
        lines = format_html_join(
            "",
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    token.name,
                    token.get_kind_display(),
                    token.description,
                    clip(token.sample),
                    "email only" if token.email_only else "",
                )
                for token in row.tokens.all()
            ),
        )
        return format_html(
            '<table class="tokens"><thead><tr><th scope="col">Name</th><th scope="col">Kind</th>'
            '<th scope="col">Meaning</th><th scope="col">Sample</th><th scope="col">Offered to</th></tr></thead>'
            "<tbody>{}</tbody></table>",
            lines,
        )

    @admin.display(description="ordering key")
    def ordering_key(self, row: EventType) -> str:
        """The ordering key, with the place where the payload holds its right part."""
        return f"{row.ordering_prefix}:<{row.ordering_path}>" if row.ordering_prefix else "—"

    def get_readonly_fields(self, _request: HttpRequest, obj: EventType | None = None) -> list[str]:
        """All that the catalog decides, for built-in types."""
        if obj and obj.is_builtin:
            fields = [field.name for field in EventType._meta.fields if field.name not in OWN_OF_BUILTIN]
            return [*(name for name in fields if name != "id"), *AS_TEXT]
        return ["is_builtin", *AS_TEXT]

    def has_delete_permission(self, request: HttpRequest, obj: EventType | None = None) -> bool:
        """Built-in types stay: make one inactive instead."""
        return not (obj and obj.is_builtin) and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without deletion of many, which would not spare the built-in ones."""
        return {
            name: each for name, each in super().get_actions(request).items() if name != "delete_selected"
        }

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the tokens; a new type gets the core ones, and a word if no queue takes it."""
        super().save_related(request, form, formsets, change)
        event_type: EventType = form.instance
        if not change:
            add_core_tokens(event_type)
        if not event_type.routes.exists():
            self.message_user(
                request,
                f"No queue takes {event_type} yet: add it to the event types of a queue, or nobody is told.",
                messages.WARNING,
            )


def _indented(value: Any) -> SafeString:
    return format_html('<pre class="exact">{}</pre>', _as_text(value))


def _as_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def add_core_tokens(event_type: EventType) -> None:
    """Give an event type the tokens that every event has, as the built-in types have them."""
    core = (
        Token.objects.filter(group=CORE, event_type__is_builtin=True).order_by("name", "pk").distinct("name")
    )
    Token.objects.bulk_create(
        [
            Token(
                event_type=event_type,
                name=token.name,
                group=CORE,
                kind=token.kind,
                description=token.description,
                sample=event_type.code if token.name == "event.type" else token.sample,
            )
            for token in core
        ],
        ignore_conflicts=True,
    )
