"""The shape of the demo's emails: one letter is written once, and becomes subject, text and HTML in Liquid."""

from dataclasses import dataclass

BILLING = "Billing"
OPERATIONS = "Operations"

_PAGE = "margin:0;padding:24px;background:#eef1f5;font-family:Helvetica,Arial,sans-serif;color:#1d2733"
_CARD = "max-width:600px;margin:0 auto;background:#ffffff;border:1px solid #d9dfe7;border-collapse:collapse"
_BAND = "padding:16px 24px;background:#173a5e;color:#ffffff;font-size:16px;font-weight:bold"
_BODY = "padding:24px;font-size:15px;line-height:1.5"
_LABEL = "padding:6px 16px 6px 0;color:#5b6b7d;vertical-align:top;white-space:nowrap"
_VALUE = "padding:6px 0;font-weight:bold"
_FOOT = "padding:12px 24px;border-top:1px solid #d9dfe7;color:#5b6b7d;font-size:12px"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One email template, for one event type, and who gets it.

    `facts` are labels with their Liquid; `shows` names the payload's values that a reader must find in the
    mail, as they were posted. `users` and `groups` are names of this system's.
    """

    event_type: str
    name: str
    subject: str
    opening: str
    facts: tuple[tuple[str, str], ...]
    shows: tuple[str, ...]
    closing: str = ""
    to_customer: bool = True
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    subscriber: str = "Customer care"
    profile: str = BILLING

    @property
    def text(self) -> str:
        """The plain text part."""
        width = max(len(label) for label, _ in self.facts) + 2
        table = "\n".join(f"  {label + ':':<{width}}{value}" for label, value in self.facts)
        parts = [self._greeting, self.opening, table, self.closing, "{{ owner.name }}"]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def html(self) -> str:
        """The HTML part."""
        rows = "\n".join(
            f'<tr><td style="{_LABEL}">{label}</td><td style="{_VALUE}">{value}</td></tr>'
            for label, value in self.facts
        )
        paragraphs = "\n".join(f"<p>{part}</p>" for part in (self._greeting, self.opening) if part)
        closing = f"\n<p>{self.closing}</p>" if self.closing else ""
        return (
            f'<!doctype html>\n<html lang="en">\n<body style="{_PAGE}">\n'
            f'<table role="presentation" align="center" width="100%" style="{_CARD}">\n'
            f'<tr><td style="{_BAND}">{{{{ owner.name }}}}</td></tr>\n'
            f'<tr><td style="{_BODY}">\n{paragraphs}\n<table role="presentation">\n{rows}\n</table>{closing}\n'
            f'</td></tr>\n<tr><td style="{_FOOT}">{{{{ event.label }}}} · {{{{ event.id }}}}</td></tr>\n'
            "</table>\n</body>\n</html>\n"
        )

    @property
    def _greeting(self) -> str:
        return "Hello {{ contact.first_name }}," if self.to_customer else ""
