"""Which of a mail server's words say that an address does not exist: the enhanced codes of RFC 3463.

Neither "not now" (4.x.x) nor "not from you" (5.7.x) is said of the address, whatever stands beside it.
"""

import re

# No such mailbox, no such domain, no address at all, moved away, a domain that takes no mail (RFC 7505).
# 5.1.7 and 5.1.8 are about the sender.
_OF_THE_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")


def is_gone(said: str) -> bool:
    """Whether these words say that the address does not exist, and nothing else beside it."""
    codes = set(_CODE.findall(said))
    return bool(codes & _OF_THE_ADDRESS) and not any(is_elsewhere(code) for code in codes)


def is_elsewhere(said: str) -> bool:
    """Whether these words name a passing fault, or a policy."""
    return any(code.startswith(("4.", "5.7.")) for code in _CODE.findall(said))


def reply_is_gone(code: int | None, detail: str) -> bool:
    """Whether the reply that begins with this code says that the address does not exist.

    Only its own enhanced code counts: what follows may repeat what we said.
    """
    found = re.search(rf"\b{code} ([245]\.\d{{1,3}}\.\d{{1,3}})\b", detail) if code else None
    return found is not None and is_gone(found[1])
