"""How callouts to an endpoint show who we are, beside their Standard Webhooks signature."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from smtpprofiles import token_url
from smtpprofiles.client_certificate import validate_client_certificate, validate_client_key
from smtpprofiles.encryption import EncryptedTextField
from smtpprofiles.tls import validate_ca_certificate

printable = RegexValidator(
    r"\A[^\x00-\x1f\x7f]*\Z", "Line breaks, tabs and other control characters are not allowed here."
)
_token = RegexValidator(
    r"\A[\x21-\x7e]*\Z", "A token has letters, digits and signs in plain ASCII only, without spaces."
)


class Authentication(models.Model):
    """The part of an endpoint that authenticates its callouts. Secrets are encrypted, and never shown."""

    class Scheme(models.TextChoices):
        NONE = "", "None: the signature alone"
        BASIC = "basic", "Basic: user name and password"
        BEARER = "bearer", "Bearer: a fixed token"
        OAUTH2 = "oauth2", "OAuth2 client credentials: a token from a token server"

    class CredentialsIn(models.TextChoices):
        HEADER = "header", "In the header (HTTP Basic)"
        BODY = "body", "In the body of the request"

    signs_ed25519 = models.BooleanField(
        "Ed25519 signature as well",
        default=False,
        help_text="Adds a v1a signature, which the receiver verifies with the public key alone. "
        "The v1 signature is always there.",
    )
    key_pair = EncryptedTextField(blank=True, default="", editable=False)
    public_key = models.CharField(
        max_length=60, blank=True, editable=False, help_text="For the receiver: it verifies v1a."
    )
    authorization = models.CharField(
        max_length=6,
        blank=True,
        choices=Scheme,
        default=Scheme.NONE,
        help_text="What goes into the header Authorization, with every request from the first on.",
    )
    username = models.CharField(
        "user name",
        max_length=255,
        blank=True,
        validators=[
            printable,
            RegexValidator(r"\A[^:]*\Z", "A user name has no colon: with Basic, it ends the name."),
        ],
        help_text="Basic only.",
    )
    password = EncryptedTextField(blank=True, default="", validators=[printable], help_text="Basic only.")
    bearer_token = EncryptedTextField(
        blank=True,
        default="",
        validators=[_token],
        help_text="Bearer only: the token alone, without the word Bearer.",
    )
    token_url = models.TextField(
        "token URL",
        blank=True,
        validators=[token_url.validate_token_url],
        help_text="OAuth2 only: where the token server gives tokens, e.g. https://login.example.com/oauth2/token.",
    )
    client_id = models.CharField(
        "client ID", max_length=255, blank=True, validators=[printable], help_text="OAuth2 only."
    )
    client_secret = EncryptedTextField(
        blank=True, default="", validators=[printable], help_text="OAuth2 only."
    )
    scope = models.CharField(
        max_length=1000, blank=True, validators=[printable], help_text="OAuth2 only; separated by spaces."
    )
    audience = models.CharField(
        max_length=1000,
        blank=True,
        validators=[printable],
        help_text="OAuth2 only, where the token server wants it.",
    )
    credentials_in = models.CharField(
        "client ID and secret go",
        max_length=6,
        choices=CredentialsIn,
        default=CredentialsIn.HEADER,
        help_text="OAuth2 only. Most token servers take both; if yours refuses the client, try the other.",
    )
    token_ca_certificate = models.TextField(
        "token server's CA certificate",
        blank=True,
        validators=[validate_ca_certificate],
        help_text="OAuth2 only. PEM; only where the token server's certificate comes from a private CA.",
    )
    api_key_header = models.CharField(
        "API key header",
        max_length=100,
        blank=True,
        help_text="The name of a header that carries a key, e.g. X-API-Key. Beside any of the above.",
    )
    api_key = EncryptedTextField(
        "API key", blank=True, default="", validators=[printable], help_text="The value of that header."
    )
    client_certificate = models.TextField(
        blank=True,
        validators=[validate_client_certificate],
        help_text="PEM; shown to receivers that ask for one (mTLS). Our own certificate first, then its issuers.",
    )
    client_key = EncryptedTextField(
        "client certificate's key",
        blank=True,
        default="",
        validators=[validate_client_key],
        help_text="PEM, without a passphrase.",
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(signs_ed25519=False, public_key="") | (Q(signs_ed25519=True) & ~Q(public_key="")),
                name="%(class)s_ed25519_has_key",
            ),
            models.CheckConstraint(
                condition=Q(authorization__in=["", "basic", "bearer", "oauth2"]),
                name="%(class)s_authorization",
            ),
            models.CheckConstraint(
                condition=~Q(authorization="oauth2") | (~Q(token_url="") & ~Q(client_id="")),
                name="%(class)s_oauth2_has_server",
            ),
        ]


class EndpointHeader(models.Model):
    """A header that goes with every callout to an endpoint; a secret one is encrypted and never shown."""

    endpoint = models.ForeignKey("Endpoint", models.CASCADE, related_name="headers")
    name = models.CharField(max_length=100)
    is_secret = models.BooleanField("secret", default=False)
    value = models.CharField(max_length=2000, blank=True, validators=[printable])
    secret_value = EncryptedTextField(blank=True, default="", validators=[printable])

    class Meta:
        ordering = ["id"]
        verbose_name = "header"
        constraints = [
            models.UniqueConstraint(models.functions.Lower("name"), "endpoint", name="endpoint_header_once"),
            models.CheckConstraint(
                condition=Q(is_secret=False) | Q(value=""), name="endpoint_header_secret_is_encrypted"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RetiredSecret(models.Model):
    """A signing secret or key pair that was replaced, and signs beside its successor for a while."""

    endpoint = models.ForeignKey("Endpoint", models.CASCADE, related_name="retired_secrets")
    secret = EncryptedTextField()
    signs_until = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"until {self.signs_until:%Y-%m-%d %H:%M} UTC"
