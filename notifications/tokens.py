"""Which tokens may be used where: what all of the event types offer, and contact tokens in email only.

Refusals name the token, the reason, and the nearest token that may be used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from django.core.exceptions import ValidationError

from events.models import EventType, Token

Medium = Literal["email", "webhook"]

# What the product itself supplies when it renders: filters and recipients do not see it.
CORE = "core"
MANY = {
    "account": "many accounts",
    "company": "many accounts",
    "contact": "many accounts, each with contacts of its own",
    "contract": "many contracts",
    "credit": "many credits",
    "invoice": "many invoices",
    "package": "many packages",
    "payment": "many payments",
    "refund": "many refunds",
    "service": "many services",
    "sim": "many SIMs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a set of event types offers to one medium."""

    medium: Medium
    event_types: tuple[EventType, ...]
    by_type: Mapping[str, Mapping[str, Token]]  # event type's code → token's name → token
    legal: Mapping[str, Token]

    def find(self, name: str) -> Token | None:
        """Return the legal token behind a name: itself, or the list or object that the name leads into."""
        parts = name.split(".")
        for length in range(len(parts), 1, -1):
            token = self.legal.get(".".join(parts[:length]))
            if token is None:
                continue
            rest = parts[length:]
            opens = token.kind in (Token.Kind.LIST, Token.Kind.OBJECT)
            return token if not rest or opens or rest == ["size"] else None
        return None

    def nearest(self, name: str) -> str | None:
        """Return the legal token that was probably meant."""
        matches = get_close_matches(name, self.legal, n=1, cutoff=0.6)
        if matches:
            return matches[0]
        last = name.rpartition(".")[2]
        return next((each for each in self.legal if each.rpartition(".")[2] == last), None)


def offer(event_types: Iterable[EventType], *, medium: Medium) -> Offer:
    """Return what all of these event types offer to a medium. One query."""
    types = tuple(event_types)
    by_type: dict[str, dict[str, Token]] = {event_type.code: {} for event_type in types}
    codes = {event_type.pk: event_type.code for event_type in types}
    for token in Token.objects.filter(event_type__in=types).order_by("event_type", "group", "name"):
        by_type[codes[token.event_type_id]][token.name] = token
    legal: dict[str, Token] = {}
    if types:
        first, *others = by_type.values()
        legal = {
            name: token
            for name, token in first.items()
            if all(name in other for other in others) and not (medium == "webhook" and token.email_only)
        }
    return Offer(medium=medium, event_types=types, by_type=by_type, legal=legal)


def legal_tokens(event_types: Iterable[EventType], *, medium: Medium) -> dict[str, Token]:
    """Return the tokens that all of these event types offer to a medium, by name."""
    return dict(offer(event_types, medium=medium).legal)


def refuse_illegal(names: Iterable[str], offered: Offer) -> None:
    """Raise a ValidationError with one message for each name that is not legal."""
    refusals = [refusal(name, offered) for name in sorted(set(names)) if offered.find(name) is None]
    if refusals:
        raise ValidationError([ValidationError(text, code="illegal_token") for text in refusals])


def refusal(name: str, offered: Offer) -> str:
    """Return why a name cannot be used, and what may have been meant."""
    near = offered.nearest(name)
    suggestion = f" Did you mean “{near}”?" if near else ""
    return f"“{name}” cannot be used here: {_reason(name, offered)}.{suggestion}"


def _reason(name: str, offered: Offer) -> str:
    if not offered.event_types:
        return "no event type is chosen or flows into the queue, so there are no tokens yet"
    having = [code for code, tokens in offered.by_type.items() if name in tokens]
    lacking = [code for code in offered.by_type if code not in having]
    group = name.partition(".")[0]
    if having and not lacking:
        kind = "contact tokens exist" if group == "contact" else "it exists"
        return f"{kind} for email only, never for webhooks"
    if having:
        shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        return f"not every chosen event type offers it: {shown} {'does' if len(lacking) == 1 else 'do'} not"
    return _reason_none_has_it(name, group, offered)


def _reason_none_has_it(name: str, group: str, offered: Offer) -> str:
    if group in MANY and all(each.resource == "bill_run" for each in offered.event_types):
        return f"a bill run covers {MANY[group]}"
    if any(each.startswith(f"{name}.") for each in offered.legal):
        return "it is a group of tokens, so name one of them"
    if len(offered.event_types) == 1:
        return f"{offered.event_types[0].code} does not offer it"
    return "none of the chosen event types offers it"
