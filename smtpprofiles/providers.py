"""The providers whose APIs take mail, as django-anymail knows them: what each needs, and what it is like.

Adding one is a row here. Only Amazon SES has a backend of our own: anymail's needs boto3, which is large and
opens connections of its own, past the address guard.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.backends.brevo import EmailBackend as Brevo
from anymail.backends.mailgun import EmailBackend as Mailgun
from anymail.backends.mailjet import EmailBackend as Mailjet
from anymail.backends.postmark import EmailBackend as Postmark
from anymail.backends.resend import EmailBackend as Resend
from anymail.backends.sendgrid import EmailBackend as SendGrid
from anymail.backends.sparkpost import EmailBackend as SparkPost

from .amazon_ses import EmailBackend as AmazonSes


class Kind(StrEnum):
    """What takes the mail of a profile."""

    SMTP = "smtp"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    BREVO = "brevo"
    RESEND = "resend"
    SPARKPOST = "sparkpost"
    MAILJET = "mailjet"
    SENDGRID = "sendgrid"
    AMAZON_SES = "amazon_ses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider's API."""

    label: str
    backend: type[AnymailRequestsBackend]
    url: str  # what its API is reached by, unless the profile says another
    key: str = "api_key"  # anymail's name for the credential
    secret: str = ""  # and for the second one, where there are two
    key_label: str = "API key"
    needs_domain: bool = False
    token: str = ""  # anymail's name for a session token, where there may be one
    needs_region: bool = False  # and its requests are signed
    mails_bounces: bool = False  # what did not arrive comes back as a mail, to an address that we may name
    # Of a refusal: what says that the account is at fault, or that it is for now.
    fault_words: str = ""
    passing_words: str = ""
    # A call that changes nothing and needs the credential; empty: there is none for a key that may only send.
    check: str = ""
    check_key: str = ""  # the header that carries the key; empty: HTTP Basic, "Bearer": a bearer token
    # Whether it leaves our Message-ID as it is. Where not, ours goes along as X-Message-ID.
    keeps_message_id: bool = False
    headers: dict[str, str] = field(default_factory=dict)  # added to each mail

    @property
    def message_id_header(self) -> str:
        """Under which name our Message-ID goes along."""
        return "Message-ID" if self.keeps_message_id else "X-Message-ID"


PROVIDERS = {
    Kind.MAILGUN: Provider(
        label="Mailgun", backend=Mailgun, url="https://api.mailgun.net/v3", needs_domain=True,
        check="domains/{domain}", keeps_message_id=True,
    ),
    Kind.POSTMARK: Provider(
        label="Postmark", backend=Postmark, url="https://api.postmarkapp.com", key="server_token",
        key_label="Server token", check="server", check_key="X-Postmark-Server-Token",
        keeps_message_id=True, headers={"X-PM-KeepID": "true"},
    ),
    Kind.BREVO: Provider(
        label="Brevo", backend=Brevo, url="https://api.brevo.com/v3", check="account", check_key="api-key"
    ),
    Kind.RESEND: Provider(
        label="Resend", backend=Resend, url="https://api.resend.com", check="domains", check_key="Bearer"
    ),
    Kind.SPARKPOST: Provider(
        label="SparkPost", backend=SparkPost, url="https://api.sparkpost.com/api/v1", check="account",
        check_key="Authorization",
    ),
    Kind.MAILJET: Provider(
        label="Mailjet", backend=Mailjet, url="https://api.mailjet.com/v3.1", secret="secret_key",  # noqa: S106
        check="../v3/REST/apikey",
    ),
    Kind.SENDGRID: Provider(
        label="SendGrid", backend=SendGrid, url="https://api.sendgrid.com/v3", check="scopes",
        check_key="Bearer", keeps_message_id=True,
    ),
    Kind.AMAZON_SES: Provider(
        label="Amazon SES", backend=AmazonSes, url="https://email.{region}.amazonaws.com", key="access_key_id",
        key_label="Access key ID", secret="secret_access_key", token="session_token", needs_region=True,  # noqa: S106
        check="v2/email/account", mails_bounces=True,
        fault_words="AccountSuspended|SendingPaused|MailFromDomainNotVerified|is not verified",
        passing_words="LimitExceeded|Throttling|TooManyRequests",
    ),
}  # fmt: skip
