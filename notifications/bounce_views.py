"""Bounce mails by HTTP: a mail server pipes them to the feedback address of their profile."""

from django.http import HttpRequest, HttpResponse

from . import bounce_report, take_bounce
from .models import FeedbackAddress

TYPE = "message/rfc822"
LONGEST = 10 * 1024 * 1024  # bytes of a mail that are let in at all
_CHUNK = 64 * 1024
# Their servers mail what did not arrive; the others post it in a form of their own.
MAILING = frozenset({FeedbackAddress.Provider.SMTP, FeedbackAddress.Provider.AMAZON_SES})


def is_for(source: FeedbackAddress, request: HttpRequest) -> bool:
    """Whether a request holds a bounce mail, or this address takes nothing else."""
    return request.content_type == TYPE or source.reporter in MAILING


def take_in(source: FeedbackAddress, request: HttpRequest) -> HttpResponse:
    """Take in one mail; 200 also where it is none of ours, with a sentence that says so."""
    if request.content_type != TYPE:
        return _told(415, f"Post a bounce mail as it came, with Content-Type: {TYPE}.")
    if source.profile.kind not in MAILING:
        return _told(415, f"{source.profile.label} reports in a form of its own, not by bounce mails.")
    size = request.META.get("CONTENT_LENGTH") or ""
    if not size.isdecimal() or not int(size):
        return _told(411, "Post the whole mail, with its Content-Length.")
    if int(size) > LONGEST:
        return _told(413, f"A mail of more than {LONGEST:,} bytes is not read.")
    raw = request.read(bounce_report.LIMIT)
    while request.read(_CHUNK):  # the report is at its beginning
        pass
    return _told(200, take_bounce.take(source.profile, raw).told)


def _told(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
