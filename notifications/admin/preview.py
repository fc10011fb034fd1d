"""A mail template as its readers get it: side by side HTML, text and headers, and sent to oneself.

The HTML has a URL of its own, with a policy of its own: no script, nothing loaded from anywhere, and an
origin that is nobody's.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from events.models import EventType
from notifications import letters, specimen
from notifications.models import EmailTemplate
from smtpprofiles.models import SmtpProfile

FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)


class ChoiceForm(forms.Form):
    """Which event, language and width to show."""

    error_css_class = "errors"

    event_type = forms.ModelChoiceField(EventType.objects.none(), label="Event type", empty_label=None)
    event = forms.CharField(
        label="Event",
        required=False,
        max_length=40,
        help_text="The id (evt_…) of one that happened. Empty: the sample of the event type.",
    )
    locale = forms.ChoiceField(label="Reader", required=False)
    width = forms.ChoiceField(
        label="Width", required=False, choices=[("desktop", "Desktop"), ("phone", "Phone"), ("both", "Both")]
    )

    def __init__(self, template: EmailTemplate, data: Any) -> None:
        types: Any = template.event_types.order_by("code")
        first = types.first()
        given = {"event_type": first.pk if first else None, "width": "both", **data.dict()}
        super().__init__(given)
        self.fields["event_type"].queryset = types  # type: ignore[attr-defined]
        locales = [template.locale, *(variant.locale for variant in template.variants.all())]
        self.fields["locale"].choices = [  # type: ignore[attr-defined]
            ("", "as the event's account"),
            *((each, each) for each in locales),
        ]

    def mail(self, template: EmailTemplate) -> specimen.Specimen:
        """Return the mail that was chosen. Raises specimen.NoSpecimen."""
        if not self.is_valid():
            faults = [str(text) for texts in self.errors.values() for text in texts]
            raise specimen.NoSpecimen(" ".join(faults) or "Choose an event type.")
        chosen = self.cleaned_data
        return specimen.make(
            template,
            event_type=chosen["event_type"],
            event_id=chosen["event"].strip(),
            locale=chosen["locale"],
        )


class ProfileForm(forms.Form):
    """By which account a test leaves."""

    profile = forms.ModelChoiceField(
        SmtpProfile.objects.defer(*SmtpProfile.secrets()),
        label="SMTP profile",
        empty_label=None,
        help_text="Also one that is paused: a test shows whether it works again.",
    )


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses below those of templates."""

    def preview(request: HttpRequest, pk: int) -> HttpResponse:
        return _preview(request, site, _get(request, pk))

    def send(request: HttpRequest, pk: int) -> HttpResponse:
        return _send(request, site, _get(request, pk))

    name = "notifications_emailtemplate"
    return [
        path("<int:pk>/preview/", site.admin_view(require_safe(preview)), name=f"{name}_preview"),
        path("<int:pk>/preview/html/", site.admin_view(require_safe(_frame)), name=f"{name}_frame"),
        path("<int:pk>/preview/send/", site.admin_view(require_POST(send)), name=f"{name}_send"),
        path("install/", site.admin_view(require_POST(_install)), name=f"{name}_install"),
    ]


def _get(request: HttpRequest, pk: int) -> EmailTemplate:
    if not request.user.has_perm("notifications.view_emailtemplate"):
        raise PermissionDenied
    template = EmailTemplate.objects.select_related("layout").filter(pk=pk).first()
    if template is None:
        raise Http404
    return template


def _preview(
    request: HttpRequest, site: AdminSite, template: EmailTemplate, sent: specimen.Sent | None = None
) -> HttpResponse:
    form = ChoiceForm(template, request.GET)
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"Preview of {template}",
        "opts": EmailTemplate._meta,
        "template": template,
        "form": form,
        "profile_form": ProfileForm(initial={"profile": SmtpProfile.objects.filter(is_default=True).first()}),
        "may_send": request.user.has_perm("notifications.change_emailtemplate"),
        "to": getattr(request.user, "email", ""),
        "query": request.GET.urlencode(),
        "sent": sent,
        "widths": _widths(form.data.get("width")),
    }
    try:
        context["mail"] = form.mail(template)
    except specimen.NoSpecimen as error:
        context["fault"] = str(error)
    return TemplateResponse(request, "admin/notifications/emailtemplate/preview.html", context)


def _widths(chosen: str | None) -> list[str]:
    return [chosen] if chosen in ("desktop", "phone") else ["desktop", "phone"]


def _frame(request: HttpRequest, pk: int) -> HttpResponse:
    """The HTML part alone, for the sandboxed frame."""
    template = _get(request, pk)
    try:
        html = ChoiceForm(template, request.GET).mail(template).html
    except specimen.NoSpecimen as error:
        response = HttpResponse(str(error), content_type="text/plain; charset=utf-8")
    else:
        response = HttpResponse(html, content_type="text/html; charset=utf-8")
    response["Content-Security-Policy"] = FRAME_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cache-Control"] = "no-store"
    return response


def _send(request: HttpRequest, site: AdminSite, template: EmailTemplate) -> HttpResponse:
    """Send what is shown to whoever looks at it, and show how that went."""
    user: Any = request.user
    if not user.has_perm("notifications.change_emailtemplate"):
        raise PermissionDenied
    form, chosen = ProfileForm(request.POST), ChoiceForm(template, request.GET)
    fault = ""
    if not form.is_valid():
        fault = "Choose the SMTP profile that the test leaves by; add one if there is none."
    elif not user.email:
        fault = "Your user has no email address. Add it under Users, then try again."
    elif not chosen.is_valid():
        fault = "Choose an event type of the template first."
    else:
        try:
            sent = specimen.send(
                template,
                form.cleaned_data["profile"],
                actor=user,
                recipient=user.email,
                event_type=chosen.cleaned_data["event_type"],
                event_id=chosen.cleaned_data["event"].strip(),
                locale=chosen.cleaned_data["locale"],
            )
            return _preview(request, site, template, sent)
        except specimen.NoSpecimen as error:
            fault = str(error)
    messages.error(request, f"Not sent. {fault}")
    back = reverse("admin:notifications_emailtemplate_preview", args=[template.pk])
    return HttpResponseRedirect(f"{back}?{request.GET.urlencode()}")


def _install(request: HttpRequest) -> HttpResponse:
    """Create the mails that come with the product, those that are missing."""
    user: Any = request.user
    if not user.has_perm("notifications.add_emailtemplate"):
        raise PermissionDenied
    back = HttpResponseRedirect(reverse("admin:notifications_emailtemplate_changelist"))
    try:
        made = letters.install(actor=user, again=True)
    except ValidationError as error:
        text = " ".join(error.messages)
        messages.error(
            request, f"Not installed: they do not fit the layout “{letters.LAYOUT}”. {text}"[:1000]
        )
        return back
    names = ", ".join(template.name for template in made)
    text = f"Installed: {names}." if made else "All mails that come with the product are there already."
    messages.success(request, text)
    return back
