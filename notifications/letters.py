"""The mails that come with the product, as rows that administrators then own.

Each is installed once: one that was edited stays as it is, and one that was deleted stays away until somebody
asks for it.
"""

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db import transaction

from events.models import EventType

from . import audit, vet_mail
from .models import AuditEntry, EmailLayout, EmailTemplate
from .withdraw import System

LAYOUT = "Standard"
_HERE = Path(__file__).parent
_INSTALLED = "emailtemplate.install"
_GREETING = "Hello{% if contact.first_name %} {{ contact.first_name }}{% endif %},"
_VALUE = re.compile(r"(?:\{\{|\{% for \w+ in) ([a-z_.]+)")
_SEES_OFF = '{% if unsubscribe.url != "" %}\nUnsubscribe: {{ unsubscribe.url }}\n{% endif %}'  # in a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """One mail that comes with the product: labels with their Liquid, and the words around them."""

    event_type: str
    name: str
    subject: str
    preheader: str
    heading: str
    is_to_customer: bool
    opening: str
    facts: list[list[str]]
    closing: str = ""
    button: Sequence[str] = ()  # its label, and the token that holds the address

    @property
    def text(self) -> str:
        """The plain text."""
        width = max(len(label) for label, _ in self.facts) + 2
        table = "".join(
            _where_there(f"  {label + ':':<{width}}{value}\n", value) for label, value in self.facts
        )
        link = ""
        if self.button:
            label, token = self.button
            link = f"{{% if {token} %}}{label}: {{{{ {token} }}}}\n\n{{% endif %}}"
        above = "".join(
            f"{part}\n\n" for part in (_GREETING if self.is_to_customer else "", self.opening) if part
        )
        return f"{above}{table}\n{link}{self.closing}".rstrip("\n") + "\n"

    @property
    def html(self) -> str:
        """The content of the layout."""
        rows = "".join(
            _where_there(f'<tr><td class="label">{label}</td><td class="value">{value}</td></tr>\n', value)
            for label, value in self.facts
        )
        greeting = f"<p>{_GREETING}</p>\n" if self.is_to_customer else ""
        closing = f"<p>{self.closing}</p>\n" if self.closing else ""
        link = ""
        if self.button:
            label, token = self.button
            link = f'{{% if {token} %}}<p><a class="button" href="{{{{ {token} }}}}">{label}</a></p>\n{{% endif %}}'
        return (
            f"<h1>{self.heading}</h1>\n{greeting}<p>{self.opening}</p>\n"
            f'<table class="facts" role="presentation">\n{rows}</table>\n{link}{closing}'
        )


def _where_there(row: str, value: str) -> str:
    """Show a row only with an event that has the first value in it, unless the words themselves see to that."""
    first = _VALUE.match(value)
    return f"{{% if {first[1]} %}}{row}{{% endif %}}" if first and "| default:" not in value else row


def defaults() -> list[Default]:
    """Return all of them, in the order of a month's billing."""
    read: dict[str, list[dict[str, Any]]] = tomllib.loads((_HERE / "letters.toml").read_text("utf-8"))
    return [Default(**letter) for letter in read["letter"]]


@transaction.atomic
def install(
    *, actor: audit.Actor | None = None, again: bool = False, only: Collection[str] = ()
) -> list[EmailTemplate]:
    """Create those that are missing, for the event types that exist; return them.

    One that was installed before and is gone comes back only with `again`. `only` names event types.
    """
    types = {row.code: row for row in EventType.objects.filter(is_active=True)}
    taken = set(EmailTemplate.objects.values_list("name", flat=True))
    gone = set() if again else set(_installed_before())
    wanted = [
        letter
        for letter in defaults()
        if letter.event_type in types
        and letter.name not in taken | gone
        and (not only or letter.event_type in only)
    ]
    if not wanted:
        return []
    layout = _layout()
    made = []
    for letter in wanted:
        template = EmailTemplate(
            name=letter.name,
            layout=layout,
            subject=letter.subject,
            preheader=letter.preheader,
            text=letter.text,
            html=letter.html,
        )
        template.full_clean()
        event_types = [types[letter.event_type]]
        vet_mail.check_template(template, event_types=event_types, variants=[])
        template.save()
        template.event_types.set(event_types)
        made.append(template)
    audit.record(actor or System(), _INSTALLED, [template.name for template in made])
    return made


def _installed_before() -> list[str]:
    names = [letter.name for letter in defaults()]
    entries = AuditEntry.objects.filter(action=_INSTALLED, subject__in=names)
    return list(entries.values_list("subject", flat=True).distinct())


def _layout() -> EmailLayout:
    layout, _ = EmailLayout.objects.get_or_create(
        name=LAYOUT,
        defaults={"html": standard().html, "text": standard().text},
    )
    return layout


@lru_cache(maxsize=1)
def standard() -> EmailLayout:
    """Return the layout that comes with the product, not saved."""
    html = (_HERE / "letters.html").read_text("utf-8")
    return EmailLayout(name=LAYOUT, html=html, text="{{ content }}\n{{ owner.name }}\n" + _SEES_OFF)
