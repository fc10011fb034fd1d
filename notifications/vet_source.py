"""What a template, a token and a path must satisfy before they are saved."""

from collections.abc import Callable

from django.core.exceptions import ValidationError

from events.models import Token

from . import liquid
from .liquid_places import place
from .tokens import CORE, Offer, refusal, refuse_illegal

# What mails have beside the tokens of their events, with a sample.
OF_MAILS = {"unsubscribe.url": "https://billing.example.com/unsubscribe/…/"}
_MAIL = {"unsubscribe": {"url": OF_MAILS["unsubscribe.url"]}}


def check_source(source: str, offered: Offer, *, kind: liquid.Kind = "text", for_mail_in: str = "") -> None:
    """Refuse Liquid that does not compile, names an illegal token, or fails on a sample payload.

    With the locale of a mail, it may use what mails have besides, and is tried as they are.
    """
    liquid.check(source)
    refuse_illegal(liquid.names(source) - (OF_MAILS.keys() if for_mail_in else set()), offered)
    place_of_mail = place(for_mail_in, "") if for_mail_in else None
    for event_type in offered.event_types:
        try:
            liquid.render(source, {**event_type.sample, **_MAIL}, kind=kind, place=place_of_mail)
        except liquid.TemplateFault as fault:
            raise ValidationError(
                f"It fails on the sample payload of {event_type.code}: {fault}", code="liquid"
            ) from fault


def check_token(name: str, offered: Offer, *, field: str, in_payload: bool = False) -> Token:
    """Return the legal token behind a name; `in_payload` refuses what the product itself supplies."""
    token = offered.find(name)
    if token is None:
        raise ValidationError({field: refusal(name, offered)})
    if in_payload and token.group == CORE:
        raise ValidationError({field: f"“{name}” is no part of the payload. Name a token that is."})
    return token


def at(field: str, check: Callable[[], None]) -> None:
    """Run a check; what it refuses stands at the field."""
    try:
        check()
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from error
