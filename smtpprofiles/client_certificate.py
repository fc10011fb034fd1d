"""Client certificates (mTLS): checked as a pair when they are saved, shown when a server asks."""

import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.core.exceptions import ValidationError


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What people want to know of a certificate."""

    subject: str
    issuer: str
    expires_at: datetime


def show_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have a context show this certificate (PEM texts). ssl.SSLError, ValueError or OSError if it cannot."""
    # Python takes keys from files only: what is written, for a moment, is encrypted with a password of its own.
    password = secrets.token_hex(32).encode()
    parsed = _key(key)
    encrypted = parsed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(encrypted + b"\n" + certificate.encode())
        context.load_cert_chain(path, password=password)


def facts(certificate: str) -> CertificateFacts:
    """Whose a certificate is, and until when; ValueError where it is none."""
    first = x509.load_pem_x509_certificates(certificate.encode())[0]
    return CertificateFacts(
        subject=first.subject.rfc4514_string(),
        issuer=first.issuer.rfc4514_string(),
        expires_at=first.not_valid_after_utc,
    )


def validate_client_certificate(value: str) -> None:
    """ValidationError unless the text starts with a PEM certificate that has not expired."""
    try:
        found = facts(value)
    except ValueError as error:
        raise ValidationError(
            "This is not a certificate in PEM form. Paste the text from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE-----, our own first, then those that it was issued by.",
            code="client_certificate",
        ) from error
    if found.expires_at <= datetime.now(UTC):
        raise ValidationError(
            f"This certificate expired on {found.expires_at:%Y-%m-%d}. Ask the receiver for a new one.",
            code="expired",
        )


def validate_client_key(value: str) -> None:
    """ValidationError, which never shows it, unless the text is a PEM private key without a passphrase."""
    try:
        _key(value)
    except TypeError:
        raise ValidationError(
            "This key is protected by a passphrase. Remove it first, as with "
            "`openssl pkey -in key.pem -out plain.pem`; it is stored encrypted here.",
            code="passphrase",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValidationError(
            "This is not a private key in PEM form. Paste the text from -----BEGIN PRIVATE KEY----- "
            "to -----END PRIVATE KEY-----.",
            code="client_key",
        ) from None


def validate_pair(certificate: str, key: str) -> None:
    """ValidationError unless the key is that of the first certificate, and TLS takes both."""
    public = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != _key(key).public_key().public_bytes(*form):
        raise ValidationError(
            "This key does not belong to the certificate above. Paste the pair that was issued together.",
            code="pair",
        )
    try:
        show_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = (getattr(error, "reason", "") or type(error).__name__).replace("_", " ").lower()
        raise ValidationError(f"TLS does not take this certificate and key: {reason}.", code="pair") from None


def _key(value: str) -> PrivateKeyTypes:
    return load_pem_private_key(value.encode(), password=None)
