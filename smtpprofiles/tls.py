"""TLS as every outgoing connection uses it: 1.2 or newer, certificate and host name always checked."""

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Literal

import certifi
from django.core.exceptions import ValidationError

from .client_certificate import show_certificate


@lru_cache(maxsize=256)
def client_context(
    protocol: Literal["https", "smtp"],
    ca_certificate: str = "",
    bundle: str = "",
    client_certificate: str = "",
    client_key: str = "",
) -> ssl.SSLContext:
    """A verifying client context, built once per configuration because loading the CAs is slow.

    Trusted is `ca_certificate` (PEM text) alone if given, else the file `bundle` alone if given,
    else what the system trusts. `client_certificate`, if given, is shown with its `client_key` (PEM texts).
    ssl.SSLError, OSError or ValueError where one of those cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocol == "https":
        context.set_alpn_protocols(["http/1.1"])
    if ca_certificate:
        context.load_verify_locations(cadata=ca_certificate)
    elif bundle:
        context.load_verify_locations(cafile=bundle)
    else:
        context.load_default_certs()
        if not _system_has_certificates():
            context.load_verify_locations(cafile=certifi.where())
    if client_certificate:
        show_certificate(context, client_certificate, client_key)
    return context


def _system_has_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and any(Path(paths.capath).iterdir()))


def validate_ca_certificate(value: str) -> None:
    """ValidationError unless the text holds at least one PEM certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError) as error:
        raise ValidationError(
            "This is not a certificate in PEM form. Paste the text from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE-----, for each certificate of the authority.",
            code="ca_certificate",
        ) from error
