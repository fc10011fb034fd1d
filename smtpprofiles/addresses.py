"""Email addresses as SMTP's envelope takes them."""

import re
from functools import lru_cache

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email


class NotTakenHere(Exception):  # noqa: N818 - named for the fact
    """An address has letters outside ASCII before the @, and this mail server takes none such."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The address {address} has letters outside ASCII before the @, and this mail server does not offer "
            "SMTPUTF8, which they need. Write another address, or use a profile whose server offers it."
        )


@lru_cache(maxsize=4096)
def envelope_address(address: str) -> str:
    """An address with its domain in ASCII; ValueError says what is wrong.

    What is before the @ may need SMTPUTF8, which is known once the server has said what it offers.
    """
    local, _, domain = address.rpartition("@")
    if re.search(r"[\s<>\x00-\x1f\x7f]", address):
        raise ValueError(f"The address {address!r} holds a character that no address may hold.")
    try:
        # Django's check knows ASCII only, before the @.
        validate_email(f"{re.sub(r'[^ -~]', 'x', local)}@{domain}")
        if domain.isascii():
            return address
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except (ValidationError, idna.IDNAError) as error:
        raise ValueError(f"{address!r} is not an email address.") from error
