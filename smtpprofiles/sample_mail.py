"""The mail that a test sends, to show that a profile works."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid

from .models import SmtpProfile


def compose(profile: SmtpProfile, recipient: str) -> bytes:
    """The complete message, from the profile's own From address. ValueError for an impossible address."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Test of the SMTP profile {profile.name}"
    message["From"] = Address(display_name=profile.from_name, addr_spec=profile.from_address)
    message["To"] = Address(addr_spec=recipient)
    if profile.reply_to:
        message["Reply-To"] = Address(addr_spec=profile.reply_to)
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid("test", domain=profile.from_address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        f"This mail was sent by the SMTP profile {profile.name}, to test it.\nIt works.\n",
        cte="quoted-printable",
    )
    return message.as_bytes()
