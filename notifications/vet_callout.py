"""What the parameters and the payload template of a callout must satisfy before they are saved."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ValidationError

from . import payload_template
from .data_source import check_path
from .models import Parameter, Subscription
from .parameters import MAX_HEADER, MOST
from .tokens import Offer
from .vet_source import at, check_source, check_token

# Headers that the callout sets itself, or that would change how the message is read.
_OF_THE_MESSAGE = ("content-encoding", "content-length", "content-type", "date", "host", "idempotency-key")
_OF_THE_CONNECTION = (
    "connection",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
)
_OF_THE_CLIENT = ("accept", "accept-encoding", "authorization", "cookie", "origin", "referer", "user-agent")
RESERVED_HEADERS = frozenset((*_OF_THE_MESSAGE, *_OF_THE_CONNECTION, *_OF_THE_CLIENT))
RESERVED_PREFIXES = ("webhook-", "bellwether-", "proxy-", "sec-", "x-forwarded-")
# The members of the envelope: a receiver that lays the parameters beside them must not lose one.
RESERVED_MEMBERS = frozenset(
    ["id", "type", "timestamp", "queue", "ordering_key", "sequence", "data", "parameters"]
)
# What JavaScript programs find on every object.
_DANGEROUS_MEMBERS = frozenset(["constructor", "prototype", "hasOwnProperty", "toString", "valueOf"])


def check_parameter(parameter: Parameter, offered: Offer) -> None:
    """Refuse an illegal token or path, Liquid at fault, or a name that is not theirs to set."""
    match parameter.source:
        case Parameter.Source.TOKEN:
            check_token(parameter.value, offered, field="value")
        case Parameter.Source.DATA:
            at("value", lambda: check_path(parameter.value, offered))
        case Parameter.Source.LIQUID:
            at("value", lambda: check_source(parameter.value, offered))
    _check_name(parameter.name, parameter.placement)
    text = parameter.value or parameter.default_value
    if parameter.placement == Parameter.Placement.HEADER and len(text.encode()) > MAX_HEADER:
        raise ValidationError({"value": f"A header holds {MAX_HEADER:,} bytes: shorten it, or use the body."})


def _check_name(name: str, placement: str) -> None:
    lowered = name.lower()
    if placement == Parameter.Placement.HEADER and (
        lowered in RESERVED_HEADERS or lowered.startswith(RESERVED_PREFIXES)
    ):
        raise ValidationError(
            {
                "name": f"The header {name} is set by the callout itself. Choose another name, such as x-account."
            }
        )
    if placement == Parameter.Placement.BODY:
        if name in RESERVED_MEMBERS:
            raise ValidationError(
                {
                    "name": f"The member {name} is set by the callout itself. Choose another, such as my_{name}."
                }
            )
        if name in _DANGEROUS_MEMBERS:
            raise ValidationError(
                {
                    "name": f"Programs in JavaScript misread a member {name}. Choose another, such as my_{name}."
                }
            )


def check_parameters(subscription: Subscription, parameters: Iterable[Parameter]) -> None:
    """Refuse parameters that do not go together: too many, one header twice, a name that the URL has already."""
    rows = list(parameters)
    if rows and subscription.email_template_id:
        raise ValidationError(
            "Parameters are added to callouts only. Remove them: an email's template names its tokens itself."
        )
    if len(rows) > MOST:
        raise ValidationError(f"A callout has at most {MOST} parameters; these are {len(rows)}. Remove some.")
    headers = [row.name.lower() for row in rows if row.placement == Parameter.Placement.HEADER]
    if twice := sorted({name for name in headers if headers.count(name) > 1}):
        raise ValidationError(
            f"Header names do not differ by their case: {', '.join(twice)} is given twice. Rename one."
        )
    if subscription.endpoint is not None:
        own = [subscription.endpoint.api_key_header]
        own += subscription.endpoint.headers.values_list("name", flat=True)
        if taken := sorted({name for name in own if name.lower() in headers}):
            raise ValidationError(
                f"The endpoint itself sets the header {', '.join(taken)} already. Rename the parameter."
            )
        in_url = {name for name, _ in parse_qsl(urlsplit(subscription.endpoint.path).query, True)}
        if taken := [
            row.name for row in rows if row.placement == Parameter.Placement.QUERY and row.name in in_url
        ]:
            raise ValidationError(
                f"The endpoint's path has a query with {', '.join(taken)} already: "
                "rename the parameter, or edit the path."
            )


def check_payload_template(
    subscription: Subscription, offered: Offer, parameters: Iterable[Parameter] | None = None
) -> None:
    """Refuse a payload template that breaks, names what it may not, or makes no JSON of a sample.

    `parameters` None: whether it names parameters that there are is checked elsewhere.
    """
    template = subscription.payload_template
    if not template:
        return
    if subscription.email_template_id:
        raise ValidationError("Leave this empty: a payload template is for webhooks only.")
    rows = None if parameters is None else list(parameters)
    payload_template.check(
        template,
        offered,
        parameters=None if rows is None else _samples(rows),
        secrets=[row.name for row in rows or () if row.is_secret and row.placement == row.Placement.BODY],
    )


def _samples(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return the parameters placed in the body, by name, with what each may be."""
    return {
        row.name: row.value if row.source == row.Source.STATIC and not row.is_secret else "1"
        for row in parameters
        if row.placement == Parameter.Placement.BODY
    }
