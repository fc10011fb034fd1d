"""SMTP profiles in the console. Only the fields that matter for its kind are shown."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from .fieldsets import fieldsets
from .forms import SmtpProfileForm
from .models import SmtpProfile

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[SmtpProfile]
else:
    _ModelAdmin = admin.ModelAdmin  # not generic at run time

# The button beside the choice of a kind or a way of logging in: the page again, with the fields for it.
SHOW = "_show"


@admin.register(SmtpProfile)
class SmtpProfileAdmin(_ModelAdmin):
    """List and edit profiles. The app above adds how they fare, testing, pausing and resuming them."""

    form = SmtpProfileForm
    change_form_template = "admin/smtpprofiles/change_form.html"
    # Also so that the Enter key saves: else it would press the first button, which shows other fields.
    save_on_top = True
    list_display = ["name", "kind", "label", "from_address", "is_default", "is_active"]
    list_filter = ["kind", "is_active", "is_default"]
    search_fields = ["name", "host", "from_address", "username"]
    readonly_fields = ["created_at", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SmtpProfile]:
        """Without the secrets: nothing here reads them, and one that no key opens breaks no page."""
        return super().get_queryset(request).defer(*SmtpProfile.secrets())

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the fallbacks without reading their secrets."""
        kwargs["queryset"] = SmtpProfile.objects.defer(*SmtpProfile.secrets())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: SmtpProfile | None = None) -> Any:
        """The fields that matter for the kind and the way of logging in that are chosen now."""
        given = request.POST if request.method == "POST" else getattr(request, "shown", request.GET)
        now = obj or SmtpProfile()
        kind, way = given.get("kind", now.kind), given.get("authentication", now.authentication)
        *groups, (title, state) = fieldsets(kind, way)
        return [*groups, (title, {"fields": [*state["fields"], *self.readonly_fields]})]

    def get_form(
        self, request: HttpRequest, obj: SmtpProfile | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form, filled with what was typed before other fields were asked for."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        typed = getattr(request, "shown", None)
        if typed is None:
            return form
        known = {name: typed.get(name, "") for name in form.base_fields if name in typed}

        class Filled(form):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                options["initial"] = {**(options.get("initial") or {}), **known}
                super().__init__(*args, **options)

        return Filled

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Save; or, where only other fields were asked for, show them and keep what was typed."""
        if request.method == "POST" and SHOW in request.POST:
            request.shown = request.POST  # type: ignore[attr-defined]
            request.method = "GET"
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: SmtpProfile, form: Any, change: bool) -> None:
        """Save; the default that it replaces, if any, stops being one in the same transaction."""
        with transaction.atomic():
            if obj.is_default:
                former = SmtpProfile.objects.filter(is_default=True).exclude(pk=obj.pk)
                names = list(former.values_list("name", flat=True))
                former.update(is_default=False)
                for name in names:
                    self.message_user(request, f"{name} is no longer the default.", messages.INFO)
            super().save_model(request, obj, form, change)
