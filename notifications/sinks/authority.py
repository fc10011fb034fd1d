"""The certificate authority of this machine's receivers, kept so that the product goes on trusting them."""

from pathlib import Path

import trustme


def kept(folder: Path) -> tuple[trustme.CA, Path]:
    """Return the authority of a folder, made at the first call, and its certificate's file for OUTBOUND_CA_BUNDLE."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes()), certificate
    folder.mkdir(parents=True, exist_ok=True)
    ca = trustme.CA(organization_name="Bellwether receivers on this machine")
    # Whoever could read it could pose as any host to this product.
    key.touch(mode=0o600)
    key.chmod(0o600)
    key.write_bytes(ca.private_key_pem.bytes())
    certificate.write_bytes(ca.cert_pem.bytes())
    return ca, certificate
