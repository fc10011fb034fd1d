"""Handing in a mail by whatever its profile is: an SMTP server or a provider's API."""

from . import provider, sender
from .account import Account, ProviderAccount, SendResult


def hand_in(account: Account, message: bytes, *, recipient: str) -> SendResult:
    """Hand in one message (RFC 5322) for one recipient; whatever happens is the result."""
    if isinstance(account, ProviderAccount):
        return provider.send(account, message, recipient=recipient)
    return sender.send(account, message, sender=account.sender, recipient=recipient)


def let_go(account: Account) -> None:
    """Close the connections that are kept for this account."""
    if isinstance(account, ProviderAccount):
        provider.close(account)
    else:
        sender.close(account)
