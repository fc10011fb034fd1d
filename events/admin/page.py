"""The kinds of pages that the console is made of.

1. A list never counts, sorts or searches a table that may hold millions of rows: counts stop at 10,000 and
   searches are exact, on indexed columns.
2. What an operator may do is an admin action. The same action is a button on the page of one row. Each is a
   POST with a permission, asks why, and reports how many rows it changed.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ShowFacets, display
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect

from .deletable import Deletable
from .typed import Paginator, TabularInline

M = TypeVar("M", bound=Model)
P = TypeVar("P", bound=Model)

COUNT_LIMIT = 10_000


class CappedPaginator(Paginator[Any]):
    """Pages over at most the first 10,000 rows; counting stops there."""

    @cached_property
    def found(self) -> int:
        """How many rows there are, at most one more than the limit."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by().values("pk")[: COUNT_LIMIT + 1].count()
        return len(rows)

    @cached_property
    def count(self) -> int:
        """How many rows are shown over all pages."""
        return min(self.found, COUNT_LIMIT)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than are counted."""
        return self.found > COUNT_LIMIT


class ReasonForm(ActionForm):
    """The choice of an action, and why it is done."""

    reason = forms.CharField(
        label="Reason (optional):",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"size": 30, "autocomplete": "off"}),
    )


class Page(Deletable[M]):
    """Lists that stay cheap, and actions that are buttons too."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    action_form = ReasonForm
    # What the list says while it has no rows: what they are, and how the first one comes about.
    empty_help = ""
    change_form_template = "admin/page_change_form.html"
    # Names of the actions that are buttons on the page of one row, in order.
    buttons: Sequence[str] = ()
    # What each of them does, in one sentence that stands beside it.
    button_help: Mapping[str, str] = {}

    def offers(self, name: str, row: M) -> bool:  # noqa: ARG002 - for those that override it
        """Tell whether a button makes sense on this row."""
        return True

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Name the rows to choose from without reading their secrets."""
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        secrets = [
            each.name for each in db_field.related_model._meta.fields if getattr(each, "is_secret", False)
        ]
        if field is not None and secrets and not field.queryset.query.deferred_loading[0]:
            field.queryset = field.queryset.defer(*secrets)
        return field

    def get_urls(self) -> list[URLPattern]:
        """Beside Django's own, the address that buttons post to."""
        press = path(
            "<path:object_id>/do/<slug:name>/",
            self.admin_site.admin_view(self.press),
            name=f"{self.opts.app_label}_{self.opts.model_name}_do",
        )
        return [press, *super().get_urls()]

    @method_decorator(csrf_protect)
    def press(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Run an action on one row."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        action = self.get_actions(request).get(name)
        if name not in self.buttons or action is None:
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        response = action[0](self, request, self.get_queryset(request).filter(pk=row.pk))
        if isinstance(response, HttpResponse):
            return response
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(page, args=[object_id]))

    def render_change_form(  # noqa: PLR0917 - Django's signature
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        """Show the buttons that this user may press on this row."""
        if obj is not None and obj.pk:
            page = f"admin:{self.opts.app_label}_{self.opts.model_name}_do"
            actions = self.get_actions(request)
            context["buttons"] = [
                {
                    "label": str(action[2]),
                    "url": reverse(page, args=[obj.pk, name]),
                    "help": self.button_help.get(name, ""),
                }
                for name in self.buttons
                if (action := actions.get(name)) and self.offers(name, obj)
            ]
        return super().render_change_form(request, context, add, change, form_url, obj)

    def tell(self, request: HttpRequest, done: str, refused: Sequence[str] = ()) -> None:
        """Report what an action did, and what it refused."""
        self.message_user(request, done, messages.WARNING if refused else messages.SUCCESS)
        for text in refused:
            self.message_user(request, text, messages.WARNING)


class RecordPage(Page[M]):
    """Rows that the system writes and people read."""

    falls_with_its_owner = True

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: M | None = None) -> bool:
        """Nobody changes one here."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: M | None = None) -> bool:
        """Nobody deletes one here."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Whoever may view or change it, as Django has it: the page itself changes nothing."""
        names = (f"{self.opts.app_label}.{verb}_{self.opts.model_name}" for verb in ("view", "change"))
        return super().has_view_permission(request, obj) or any(map(request.user.has_perm, names))


class RecordInline(TabularInline[M, P]):
    """Rows that are shown inside another page and edited elsewhere."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Nobody changes one here."""
        return False


def short(public_id: str) -> SafeString:
    """Return an id for a narrow column: its kind and its end, with the whole of it on hovering."""
    kind, _, digits = public_id.partition("_")
    return format_html('<span class="short" title="{}">{}_…{}</span>', public_id, kind, digits[-8:])


def clip(text: str, length: int = 60) -> SafeString | str:
    """Return a text as one line of at most that many characters, with the whole of it on hovering."""
    line = " ".join(text.split())
    shown = line if len(line) <= length else f"{line[: length - 1]}…"
    return format_html('<span title="{}">{}</span>', text, shown) if line else "—"


def utc(moment: datetime | None) -> str:
    """Return a time as every page writes it: 2026-11-22 20:35:45 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "—"


def at(field: str, label: str = "") -> Callable[[Any, Model], str]:
    """Return a column or field of a page that shows a time of the row to the second, in UTC."""

    @display(description=label or field.removesuffix("_at").replace("_", " "), ordering=field)
    def show(_page: Any, row: Model) -> str:
        return utc(getattr(row, field))

    return show


def reason_of(request: HttpRequest) -> str:
    """Return why an action is done, as the user put it."""
    return " ".join(request.POST.get("reason", "").split())[:500]


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: 1 delivery, 2 deliveries."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
