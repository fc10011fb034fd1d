"""What a template, a token and a path must satisfy before they are saved."""

from collections.abc import Callable

from django.core.exceptions import ValidationError

from events.models import Token

from . import liquid
from .tokens import CORE, Offer, refusal, refuse_illegal


def check_source(source: str, offered: Offer, *, kind: liquid.Kind = "text") -> None:
    """Refuse Liquid that does not compile, names an illegal token, or fails on a sample payload."""
    liquid.check(source)
    refuse_illegal(liquid.names(source), offered)
    for event_type in offered.event_types:
        try:
            liquid.render(source, event_type.sample, kind=kind)
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
