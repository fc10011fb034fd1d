"""From the stored text of a mail back to what anymail sends: the same subject, texts and headers."""

import email.policy
from email.message import EmailMessage as Parsed
from email.parser import BytesParser
from typing import Any, cast

from django.core.mail import EmailMultiAlternatives

from .providers import Provider

# Said in fields of their own, or the provider's to say.
_NOT_PASSED_ON = {
    "bcc", "cc", "content-transfer-encoding", "content-type", "date", "from", "message-id", "mime-version",
    "reply-to", "subject", "to",
}  # fmt: skip


def parse_back(message: bytes, *, recipient: str, provider: Provider) -> EmailMultiAlternatives:
    """Return the mail that an RFC 5322 text stands for, to this one recipient."""
    parsed = BytesParser(Parsed, policy=email.policy.default).parsebytes(message)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    headers = {
        name: str(value) for name, value in parsed.items() if name.lower() not in _NOT_PASSED_ON
    } | provider.headers
    headers[provider.message_id_header] = str(parsed["Message-ID"])
    mail = EmailMultiAlternatives(
        subject=str(parsed["Subject"] or ""),
        body=_content(text),
        from_email=str(parsed["From"]),
        to=[recipient],
        reply_to=[str(parsed["Reply-To"])] if parsed["Reply-To"] else None,
        headers=headers,
    )
    if html is not None:
        mail.attach_alternative(_content(html), "text/html")
    for part in parsed.iter_attachments():
        payload = part.get_payload(decode=True)
        mail.attach(part.get_filename("attachment"), cast(bytes, payload), part.get_content_type())
    mail.original = message  # type: ignore[attr-defined]  # for a provider that takes it as it is
    # Comes back with what the provider reports later on.
    mail.metadata = {"delivery": str(parsed["Message-ID"]).strip("<>").partition("@")[0]}  # type: ignore[attr-defined]
    return mail


def _content(part: Any) -> str:
    return str(part.get_content()) if part is not None else ""
