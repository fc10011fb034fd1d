"""The page that sends the mail of an email subscription to whoever looks at it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from events.admin.page import Page
from events.models import EventType
from notifications import specimen
from notifications.models import Subscription
from notifications.selection import Profiles
from smtpprofiles.models import SmtpProfile


class MailTrialForm(forms.Form):
    """About which event."""

    error_css_class = "errors"
    use_required_attribute = False  # the browser's own bubbles would come before our sentences

    event_type: Any = forms.ModelChoiceField(
        EventType.objects.none(),
        label="Event type",
        to_field_name="code",
        empty_label=None,
        help_text="Whose sample is mailed. Those of the email template.",
    )
    event = forms.CharField(
        label="Or a past event",
        required=False,
        max_length=50,
        widget=forms.TextInput(attrs={"size": 40, "autocomplete": "off", "spellcheck": "false"}),
        help_text="Its id, evt_…, as the event log shows it; it has to be of the event type above.",
    )

    def __init__(self, subscription: Subscription, data: Any = None) -> None:
        super().__init__(data)
        assert subscription.email_template is not None, "of email subscriptions only"
        types = subscription.email_template.event_types.order_by("code")
        wanted = subscription.event_types.values_list("pk", flat=True)
        self.fields["event_type"].queryset = types  # type: ignore[attr-defined]
        self.fields["event_type"].initial = types.filter(pk__in=wanted).first() or types.first()


class MailTrials(Page[Subscription]):
    """An email subscription's page with a button that leads to its test."""

    def get_urls(self) -> list[URLPattern]:
        """Beside the others, the test of one."""
        view = self.admin_site.admin_view(self.test_mail_view)
        return [
            path("<int:pk>/test-mail/", view, name="notifications_subscription_test_mail"),
            *super().get_urls(),
        ]

    def offers(self, name: str, row: Subscription) -> bool:
        """Where it sends mails."""
        if name == "send_test_to_me":
            return row.email_template_id is not None
        return super().offers(name, row)

    @admin.action(description="Send test to me…", permissions=["change"])
    def send_test_to_me(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> HttpResponse | None:
        """Go to the page that sends one mail to whoever asks."""
        chosen = list(queryset.filter(email_template__isnull=False).values_list("pk", flat=True)[:2])
        if len(chosen) != 1:
            self.tell(request, "Nothing was sent.", ["Choose one subscription that sends mails."])
            return None
        return HttpResponseRedirect(reverse("admin:notifications_subscription_test_mail", args=chosen))

    @method_decorator(csrf_protect)
    def test_mail_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask about which event; POST sends the mail and shows what the server said."""
        row = self._mailing(request, pk)
        form = MailTrialForm(row, request.POST if request.method == "POST" else None)
        if not request.user.has_perm("events.view_event"):
            del form.fields["event"]
        sent: specimen.Sent | None = None
        if request.method == "POST" and form.is_valid():
            try:
                sent = _send(request, row, form.cleaned_data)
            except specimen.NoSpecimen as error:
                form.add_error(None, f"Nothing was sent. {error}")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Test {row}",
            "opts": self.opts,
            "row": row,
            "form": form,
            "sent": sent,
            "to": getattr(request.user, "email", ""),
            "list_url": reverse("admin:notifications_subscription_changelist"),
            "change_url": reverse("admin:notifications_subscription_change", args=[row.pk]),
        }
        response = TemplateResponse(request, "admin/notifications/subscription/test_mail.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def _mailing(self, request: HttpRequest, pk: int) -> Subscription:
        rows = Subscription.objects.select_related("email_template__layout")
        row = rows.filter(pk=pk, email_template__isnull=False).first()
        if row is None:
            raise Http404
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row


def _send(request: HttpRequest, row: Subscription, chosen: dict[str, Any]) -> specimen.Sent:
    user: Any = request.user
    if not user.email:
        raise specimen.NoSpecimen("Your user has no email address. Add it under Users, then try again.")
    profile_id = Profiles.read().choose(row.profile_id, chosen["event_type"].pk)
    profiles = SmtpProfile.objects.defer(*SmtpProfile.secrets())
    profile = profiles.filter(pk=profile_id).first() if profile_id else None
    if profile is None or row.email_template is None:
        raise specimen.NoSpecimen("No SMTP profile is chosen for it: make one the default, or name one here.")
    return specimen.send(
        row.email_template,
        profile,
        actor=user,
        recipient=user.email,
        event_type=chosen["event_type"],
        event_id=chosen.get("event", "").strip(),
        subscription=row,
    )
