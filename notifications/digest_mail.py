"""A digest as a mail: counts, the first events, and all of them in a table for a spreadsheet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from events.models import Token

from . import assemble, liquid, mail
from .assemble import Letter
from .destinations import Notification
from .digest_content import Content
from .digest_csv import Table, table
from .letters import standard
from .mime import Attachment
from .models import EmailLayout, EmailTemplate
from .vet_source import OF_MAILS

SHOWN = 20  # events in the mail itself
_HERE = Path(__file__).parent
# What every row says already, or what is no part of the payload.
_NO_COLUMNS = frozenset(["event", "owner", "now", "account.id"])


def compose(
    notification: Notification,
    sender: mail.Letterhead,
    context: Mapping[str, Any],
    content: Content,
    *,
    subscription_id: int,
    recipient: str,
    now: datetime,
) -> str:
    """Return the RFC 5322 message, in the layout of the subscription's own template, else in the product's."""
    rows = table(content.entries, _columns(notification.letter, content))
    layout = EmailLayout.objects.filter(templates__subscriptions=subscription_id).first() or standard()
    try:
        letter = assemble.letter_of(_template(), layout=layout, variants=[])
    except ValidationError as error:
        raise liquid.TemplateFault(" ".join(error.messages)) from error
    return mail.compose(
        replace(notification, letter=letter, fault=""),
        sender,
        {**context, "digest": words(content, rows)},
        recipient=recipient,
        public_id=content.id,
        now=now,
        attachments=[Attachment(name=_file_name(content), content_type="text/csv", text=rows.text)],
    )


def words(content: Content, rows: Table) -> dict[str, Any]:
    """Return the values that the mail is made of."""
    names = {entry.account: entry.account_name for entry in content.entries}
    left = content.account_count - len(content.accounts)
    shown = content.entries[:SHOWN]
    several = len(content.types) > 1
    return {
        "subject": content.subject,
        "heading": content.subject,
        "count": f"{content.size:,}",
        "subscription": content.subscription,
        "from": _time(content.opened_at),
        "until": _time(content.until),
        "passed_text": f"{content.passed:,} {'was' if content.passed == 1 else 'were'}",
        "types": [{"label": label, "count": f"{number:,}"} for _, label, number in content.types],
        "accounts": [
            {"name": names.get(account, account) or "Without an account", "count": f"{number:,}"}
            for account, number in content.accounts
        ],
        "accounts_more": f"{left:,} more {'account' if left == 1 else 'accounts'}" if left else "",
        "accounts_more_count": f"{content.size - sum(number for _, number in content.accounts):,}",
        "rows_heading": f"{'All of them' if content.size == len(shown) else f'The first {len(shown):,}'}, times in UTC",
        "rows": [
            {
                "when": f"{entry.occurred_at:%Y-%m-%d %H:%M}",
                "what": " · ".join(filter(None, [entry.label if several else "", entry.object]))
                or entry.label,
                "account": entry.account_name,
            }
            for entry in shown
        ],
        "where": _where(content, rows),
    }


def _where(content: Content, rows: Table) -> str:
    """Say where all of it is, and what is not in the file."""
    left_out = content.size - rows.rows
    if not left_out:
        return f"The attached file {_file_name(content)} lists all {content.size:,}."
    everything = f"All {content.size:,} are in the console: search for {content.id} under Deliveries, or read"
    return (
        f"The attached file {_file_name(content)} lists the first {rows.rows:,}; {left_out:,} are not in it, "
        f"as it would grow too large. {everything} {content.list_url}"
    )


def _file_name(content: Content) -> str:
    return f"digest-{content.until:%Y-%m-%d-%H%M}.csv"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _columns(letter: Letter | None, content: Content) -> Sequence[str]:
    """Return the tokens that the subscription's own mail uses, else those of the events' own objects."""
    if letter is not None:
        own = letter.words[0]
        source = f"{own.subject}\n{own.text}\n{own.html}"
        try:
            used = assemble.used_names(letter) - OF_MAILS.keys()
        except liquid.TemplateFault:
            used = set()
        fitting = [name for name in used if not _NO_COLUMNS & {name, name.partition(".")[0]}]
        if fitting:
            return sorted(fitting, key=lambda name: (source.find(name), name))
    codes = [code for code, _, _ in content.types]
    rows = (
        Token.objects.filter(event_type__code__in=codes)
        .order_by("id")
        .values_list("name", "group", "event_type__code")
    )
    return list(dict.fromkeys(name for name, group, code in rows if group == code.partition(".")[0]))


@lru_cache(maxsize=1)
def _template() -> EmailTemplate:
    """Return the words of every digest, not saved."""
    html, text = ((_HERE / name).read_text("utf-8") for name in ("digest.html", "digest.txt"))
    return EmailTemplate(subject="{{ digest.subject }}", html=html, text=text, locale="en-US")
