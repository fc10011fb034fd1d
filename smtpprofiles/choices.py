"""The choices that a profile's page offers."""

from django.db import models

from .account import Authentication, Security
from .providers import Kind

# The fields of a profile that are kept encrypted, and never shown.
SECRETS = (
    "password", "oauth_client_secret", "oauth_refresh_token",
    "provider_key", "provider_secret", "provider_token",
)  # fmt: skip


class KindChoice(models.TextChoices):
    """What takes the mail of a profile."""

    SMTP = Kind.SMTP.value, "SMTP server"
    MAILGUN = Kind.MAILGUN.value, "Mailgun"
    POSTMARK = Kind.POSTMARK.value, "Postmark"
    BREVO = Kind.BREVO.value, "Brevo"
    RESEND = Kind.RESEND.value, "Resend"
    SPARKPOST = Kind.SPARKPOST.value, "SparkPost"
    MAILJET = Kind.MAILJET.value, "Mailjet"
    SENDGRID = Kind.SENDGRID.value, "SendGrid"
    AMAZON_SES = Kind.AMAZON_SES.value, "Amazon SES"


class SecurityChoice(models.TextChoices):
    """How the connection is protected."""

    NONE = Security.NONE.value, "None"
    STARTTLS = Security.STARTTLS.value, "STARTTLS"
    TLS = Security.TLS.value, "TLS from the start"


class AuthenticationChoice(models.TextChoices):
    """How we log in."""

    NONE = Authentication.NONE.value, "No login"
    PASSWORD = Authentication.PASSWORD.value, "User name and password"
    CLIENT_CREDENTIALS = Authentication.CLIENT_CREDENTIALS.value, "OAuth2: client credentials"
    REFRESH_TOKEN = Authentication.REFRESH_TOKEN.value, "OAuth2: refresh token"


class OnUnknown(models.TextChoices):
    """What follows when nobody can say whether a mail was taken."""

    RESEND = "resend", "Send it again, with the same Message-ID"
    HOLD = "hold", "Hold it for a person to decide"
