"""Where providers post what became of mails: one URL for each profile, with a secret in it.

The provider's own format and signature are read by anymail; what it finds goes to `feed`.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import structlog
from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailInsecureWebhookWarning,
    AnymailWebhookValidationFailure,
)
from anymail.signals import AnymailTrackingEvent
from anymail.webhooks import (
    brevo,
    mailersend,
    mailgun,
    mailjet,
    mailtrap,
    postmark,
    resend,
    sendgrid,
    sparkpost,
)
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from smtpprofiles.models import SmtpProfile

from . import bounce_views, feed, svix_signature
from .feedback_address import hashed
from .models import FeedbackAddress

log = structlog.get_logger(__name__)

Provider = FeedbackAddress.Provider
_READERS: dict[str, Any] = {
    Provider.BREVO: brevo.BrevoTrackingWebhookView,
    Provider.MAILERSEND: mailersend.MailerSendTrackingWebhookView,
    Provider.MAILGUN: mailgun.MailgunTrackingWebhookView,
    Provider.MAILJET: mailjet.MailjetTrackingWebhookView,
    Provider.MAILTRAP: mailtrap.MailtrapTrackingWebhookView,
    Provider.POSTMARK: postmark.PostmarkTrackingWebhookView,
    Provider.RESEND: resend.ResendTrackingWebhookView,
    Provider.SENDGRID: sendgrid.SendGridTrackingWebhookView,
    Provider.SPARKPOST: sparkpost.SparkPostTrackingWebhookView,
}
# What anymail calls the key of those whose signatures it checks; Resend's it leaves to a package of its own.
_KEYS = {Provider.MAILERSEND: "signing_secret", Provider.MAILGUN: "webhook_signing_key"}

# Anymail trusts the provider's form; what does not have it raises any of the last ones.
_UNREADABLE = (
    AnymailWebhookValidationFailure, AnymailConfigurationError,
    ValueError, KeyError, TypeError, AttributeError, IndexError,
)  # fmt: skip


@csrf_exempt
@require_http_methods(["POST", "HEAD", "GET"])
def feedback(request: HttpRequest, token: str) -> HttpResponse:
    """Take in reports. 404 for a token that is none of ours, 400 for what cannot be read or is not signed."""
    addresses = FeedbackAddress.objects.select_related("profile").defer(*SmtpProfile.secrets("profile__"))
    source = addresses.filter(token_hash=hashed(token)).first()
    if source is None:
        return HttpResponse("No such address.", status=404, content_type="text/plain")
    if request.method != "POST":
        # Some providers look whether it answers before they take the URL.
        return HttpResponse("Post reports here.", content_type="text/plain")
    if bounce_views.is_for(source, request):
        return bounce_views.take_in(source, request)
    try:
        events = list(_read(source, request))
    except _UNREADABLE as error:
        return _refusal(source, error)
    who = feed.Source(profile=source.profile, provider=source.reporter, keeps_opens=source.keeps_opens)
    feed.take(who, [report for event in events if (report := _report(event))])
    return HttpResponse(status=200)


def _refusal(source: FeedbackAddress, error: Exception) -> HttpResponse:
    if isinstance(error, AnymailWebhookValidationFailure):
        log.warning("feedback is not signed by the provider", profile=source.profile_id)
        text = "The signature does not fit."
    elif isinstance(error, AnymailConfigurationError):
        log.warning("feedback cannot be read: the signing key is missing", profile=source.profile_id)
        text = "The signing key is missing here."
    else:
        log.warning("feedback cannot be read", profile=source.profile_id, error=type(error).__name__)
        text = "This cannot be read."
    return HttpResponse(text, status=400, content_type="text/plain")


def _read(source: FeedbackAddress, request: HttpRequest) -> Iterable[Any]:
    kind, key_name = _READERS[source.reporter], _KEYS.get(source.reporter, "")
    if source.reporter in FeedbackAddress.SIGNING and not source.signing_key:
        raise AnymailConfigurationError(key_name)
    if source.reporter == Provider.RESEND and not svix_signature.is_signed(
        source.signing_key, request.headers, request.body
    ):
        raise AnymailWebhookValidationFailure
    # The secret is in the URL: a second one, by HTTP Basic, is not asked for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnymailInsecureWebhookWarning)
        view = kind(**({key_name: source.signing_key} if key_name else {}))
    view.setup(request)
    view.run_validators(request)
    found: Iterable[Any] = view.parse_events(request)
    return found


def _report(event: Any) -> feed.Report | None:
    """Return what an event of anymail's means; None for what is no report of a mail."""
    if not isinstance(event, AnymailTrackingEvent):
        return None
    recipient = str(event.recipient or "").strip()
    try:
        validate_email(recipient)
    except ValidationError:
        return None
    said = [str(text) for text in (event.mta_response, event.description) if text]
    return feed.Report(
        kind=str(event.event_type),
        recipient=recipient,
        detail=" · ".join(said) or str(event.click_url or ""),
        cause=str(event.reject_reason or ""),
        message_id=str(event.message_id or ""),
        event_id=str(event.event_id or ""),
        occurred_at=event.timestamp,
        metadata=event.metadata or {},
    )
