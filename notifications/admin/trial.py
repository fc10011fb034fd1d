"""The pages that test and check an endpoint: each says first what it sends, and shows the result on itself."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from events.admin.page import Page
from notifications import check_up, receiver_checks, trial
from notifications.destinations import Unusable
from notifications.models import Endpoint, Subscription
from notifications.rendering import Unrenderable
from notifications.trial_form import CheckForm, TrialForm

from . import target
from .destination import DestinationPage

_SHARED_HELP: Mapping[str, str] = DestinationPage.button_help


class EndpointTrials(DestinationPage[Endpoint]):
    """An endpoint's page with two buttons more."""

    actions = ["pause", "resume", "send_test", "check_receiver"]
    buttons = ["pause", "resume", "send_test", "check_receiver"]
    button_help = {
        **_SHARED_HELP,
        "send_test": "One request with sample data or a past event; shows each step, and what is wrong.",
        "check_receiver": "Right and wrong requests with sample data; reports what the receiver got right.",
    }

    def offers(self, name: str, row: Endpoint) -> bool:
        """Both at any time: a receiver is tried before it is used."""
        return name in ("send_test", "check_receiver") or super().offers(name, row)

    def get_urls(self) -> list[URLPattern]:
        """Beside the others, the two pages."""
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/test/", wrap(self.test_view), name="notifications_endpoint_test"),
            path("<path:object_id>/check/", wrap(self.check_view), name="notifications_endpoint_check"),
            *super().get_urls(),
        ]

    @admin.action(description="Send test…", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Go to the page that sends one request."""
        return self._to(request, queryset, "test")

    @admin.action(description="Check my endpoint…", permissions=["change"])
    def check_receiver(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Go to the page that sends right and wrong requests."""
        return self._to(request, queryset, "check")

    def _to(self, request: HttpRequest, queryset: QuerySet[Endpoint], name: str) -> HttpResponse | None:
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) != 1:
            self.tell(request, "Nothing was sent.", ["Choose one endpoint."])
            return None
        return HttpResponseRedirect(reverse(f"admin:notifications_endpoint_{name}", args=chosen))

    @method_decorator(csrf_protect)
    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what to send; POST sends it and shows how it went."""
        endpoint = self._endpoint(request, object_id)
        form = TrialForm(
            endpoint, request.POST if request.method == "POST" else None, initial=_asked(request)
        )
        if not request.user.has_perm("events.view_event"):
            del form.fields["event"]
        found: trial.Trial | None = None
        if request.method == "POST" and form.is_valid():
            try:
                found = trial.send_test(
                    endpoint,
                    about=form.about,
                    subscription=form.cleaned_data["subscription"],
                    actor=request.user,
                )
            except (Unusable, Unrenderable) as error:
                form.add_error(None, f"Nothing was sent. {error}")
        return self._page(request, endpoint, form, name="test", found=found)

    @method_decorator(csrf_protect)
    def check_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what is sent; POST sends it and reports."""
        endpoint = self._endpoint(request, object_id)
        form = CheckForm(
            endpoint, request.POST if request.method == "POST" else None, initial=_asked(request)
        )
        report: check_up.Report | None = None
        if request.method == "POST" and form.is_valid():
            try:
                report = check_up.check_up(
                    endpoint,
                    about=form.sample,
                    subscription=form.cleaned_data["subscription"],
                    actor=request.user,
                )
            except (Unusable, Unrenderable) as error:
                form.add_error(None, f"Nothing was sent. {error}")
        return self._page(
            request, endpoint, form, name="check", report=report, checks=receiver_checks.CHECKS.values()
        )

    def _endpoint(self, request: HttpRequest, object_id: str) -> Endpoint:
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        return found

    def _page(
        self, request: HttpRequest, endpoint: Endpoint, form: CheckForm, *, name: str, **found: Any
    ) -> HttpResponse:
        page = "admin:notifications_endpoint"
        context = {
            **self.admin_site.each_context(request),
            "title": f"{name.capitalize()} {endpoint}",
            "opts": self.opts,
            "endpoint": endpoint,
            "address": target.address(endpoint),
            "form": form,
            "list_url": reverse(f"{page}_changelist"),
            "endpoint_url": reverse(f"{page}_change", args=[endpoint.pk]),
            "other_url": reverse(f"{page}_{'check' if name == 'test' else 'test'}", args=[endpoint.pk]),
            **found,
        }
        response = TemplateResponse(request, f"admin/notifications/endpoint/{name}.html", context)
        response["Cache-Control"] = "no-store"
        return response


class SubscriptionTrials(Page[Subscription]):
    """A webhook subscription's page with a button that leads to the test of its endpoint."""

    @admin.action(description="Send test…", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> HttpResponse | None:
        """Go to the page that sends one request as this subscription would."""
        chosen = list(queryset.filter(endpoint__isnull=False).values_list("pk", "endpoint_id")[:2])
        if len(chosen) != 1:
            self.tell(request, "Nothing was sent.", ["Choose one subscription that calls an endpoint."])
            return None
        [(pk, endpoint)] = chosen
        url = reverse("admin:notifications_endpoint_test", args=[endpoint])
        return HttpResponseRedirect(f"{url}?subscription={pk}")


def _asked(request: HttpRequest) -> dict[str, str]:
    """Return what a link asks for: the subscription or event that it comes from."""
    return {
        name: request.GET[name] for name in ("subscription", "event", "event_type") if name in request.GET
    }
