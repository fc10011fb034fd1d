"""What is known of one conversation with a mail server: how far it came, and what was said."""

import base64
from functools import lru_cache

from .account import Phase, SmtpAccount
from .deadline import Deadline

_TRANSCRIPT_LIMIT = 16_000


class Trail:
    """How far one conversation has come, and what was said in it, without the credentials."""

    def __init__(self, deadline: Deadline, account: SmtpAccount) -> None:
        self.deadline = deadline
        self.phase = Phase.CONNECT
        self.address = ""
        self._lines: list[str] = []
        self._size = 0
        self._username = account.username
        self._secrets = _spellings(account.username, account.password)

    def hide(self, secret: str) -> None:
        """From now on show neither this secret nor the ways in which a login spells it."""
        self._secrets += _spellings(self._username, secret)

    def client(self, line: str) -> None:
        """Note what we said; everything but the method's name is hidden while logging in."""
        if self.phase is Phase.AUTH:
            method = line.split(" ")[1] if line.upper().startswith("AUTH ") else ""
            line = f"AUTH {method} ****" if method else "****"
        self._add(f"C: {line}")

    def server(self, code: int, text: bytes) -> None:
        """Note what the server said."""
        said = self.mask(text.decode("utf-8", "replace"))
        for line in said.split("\n") if "\n" in said else (said,):
            self._add(f"S: {code} {line}")

    def note(self, line: str) -> None:
        """Note what happened outside the dialogue."""
        self._add(f"-- {line}")

    def mask(self, text: str) -> str:
        """The text without the password, should the server have repeated it."""
        for secret in self._secrets:
            text = text.replace(secret, "****")
        return text.replace("\0", "")

    def transcript(self) -> str:
        """The dialogue, a line each, cut where it grows out of hand."""
        return "\n".join(self._lines)

    def _add(self, line: str) -> None:
        self._size += len(line) + 1
        if self._size <= _TRANSCRIPT_LIMIT:
            self._lines.append(line)


@lru_cache(maxsize=256)
def _spellings(username: str, secret: str) -> tuple[str, ...]:
    """The ways in which a login spells a secret; as it is comes last."""
    if not secret:
        return ()
    spellings = (f"\0{username}\0{secret}", xoauth2(username, secret), secret)
    return (*(base64.b64encode(text.encode()).decode() for text in spellings), secret)


def xoauth2(username: str, token: str) -> str:
    """What a client says to log in with a token, before base64."""
    return f"user={username}\1auth=Bearer {token}\1\1"
