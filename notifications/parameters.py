"""The parameters of one callout: their values, and what fits into a body, a header and a query.

In the body a value keeps its kind; in a header and in the query it is one line of text, in UTF-8. A secret is
not among the values: a marker stands for it until the callout leaves.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from smtpprofiles.encryption import SecretUnreadable

from . import liquid
from .data_source import DataSource, complete
from .models import Parameter
from .transports.base import MASK

Pairs = tuple[tuple[str, str], ...]

MOST = 50  # of one subscription
MAX_HEADER = 4096  # bytes of one value: most servers take 8 KB for all headers together
MAX_HEADERS = 8192  # bytes of all of them, names included
MAX_QUERY = 4096  # bytes, as it is in the URL
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class ParameterFault(Exception):  # noqa: N818 - named for the fact
    """A parameter that cannot be sent with this event; says why, and what mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A parameter as its administrator wrote it."""

    name: str
    source: str
    value: str
    placement: str
    if_missing: str = Parameter.IfMissing.EMPTY
    default: str = ""
    is_secret: bool = False
    secret: str = field(default="", repr=False)
    trouble: str = ""  # why its secret cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What the parameters of one callout are, by where they go, each in the order of the rows."""

    body: dict[str, Any]
    headers: Pairs
    query: Pairs


def given(rows: Iterable[Parameter], *, with_secrets: bool = True) -> tuple[Given, ...]:
    """Return rows as values, in order; a secret that no key opens becomes its trouble."""
    found = []
    for row in rows:
        secret = trouble = ""
        if row.is_secret and with_secrets:
            try:
                secret = row.secret
            except SecretUnreadable as error:
                trouble = f"Parameter “{row.name}”: {error}"
        found.append(
            Given(
                name=row.name,
                source=row.source,
                value=row.value,
                placement=row.placement,
                if_missing=row.if_missing,
                default=row.default_value,
                is_secret=row.is_secret,
                secret=secret,
                trouble=trouble,
            )
        )
    return tuple(found)


def place(parameters: Iterable[Given], context: dict[str, Any], source: DataSource, *, of: str) -> Placed:
    """Return what goes where in the callout of delivery `of`. Raises ParameterFault or TemplateFault."""
    placed: dict[str, dict[str, Any]] = {"body": {}, "header": {}, "query": {}}
    for parameter in parameters:
        value = marker(parameter.name, of) if parameter.is_secret else _value(parameter, context, source)
        in_body = parameter.placement == Parameter.Placement.BODY
        placed[parameter.placement][parameter.name] = value if in_body else line(value)
    headers, query = tuple(placed["header"].items()), tuple(placed["query"].items())
    refuse_long(headers, query)
    return Placed(body=placed["body"], headers=headers, query=query)


def refuse_long(headers: Pairs, query: Pairs) -> None:
    """Raise ParameterFault for what servers on the way would cut or refuse."""
    total = 0
    for name, value in headers:
        length = len(value.encode())
        total += len(name) + length + 4  # ": " and the line's end
        if length > MAX_HEADER:
            raise ParameterFault(
                f"Parameter “{name}”: a header holds {MAX_HEADER:,} bytes, and this value has {length:,}. "
                "Put it into the body."
            )
    if total > MAX_HEADERS:
        raise ParameterFault(
            f"The parameters in headers have {total:,} bytes together; {MAX_HEADERS:,} are sent. "
            "Put some into the body."
        )
    if query and (length := len(urlencode(query))) > MAX_QUERY:
        raise ParameterFault(
            f"The parameters in the query have {length:,} bytes together; {MAX_QUERY:,} are sent. "
            "Put some into the body."
        )


def marker(name: str, public_id: str) -> str:
    """Return what stands for a secret; no payload can hold it, being older than the delivery's random id."""
    return f"(secret {name} of {public_id})"


def without_markers(text: str, public_id: str) -> str:
    """Return a stored text as people and programs may see it: a mask in place of every marker."""
    return re.sub(rf"\(secret [^()]* of {re.escape(public_id)}\)", MASK, text)


def line(value: Any) -> str:
    """Return a value for a header or the query: one line of text, a list or a truth value as JSON."""
    if value is None:
        return ""
    text = str(value) if isinstance(value, str | Decimal) else as_json(value)
    return _CONTROL.sub(" ", text).strip(" ")


def _value(parameter: Given, context: dict[str, Any], source: DataSource) -> Any:
    value: Any
    match parameter.source:
        case Parameter.Source.STATIC:
            return parameter.value
        case Parameter.Source.TOKEN:
            value = source.value(parameter.value)
            lacking = [parameter.value] if value in (None, "") else []
        case Parameter.Source.DATA:
            value = source.plain(parameter.value)
            lacking = [parameter.value] if value in (None, "") else []
        case _:
            completed = complete(context, liquid.names(parameter.value), source)
            value = liquid.render(parameter.value, completed, kind="text")
            lacking = sorted(
                name for name in liquid.printed(parameter.value) if source.value(name) in (None, "")
            )
            if not lacking and not value.strip():
                lacking = ["what its Liquid writes"]
    if not lacking or parameter.if_missing == Parameter.IfMissing.EMPTY:
        return value
    if parameter.if_missing == Parameter.IfMissing.DEFAULT:
        return parameter.default
    reasons = dict.fromkeys(reason for name in lacking if (reason := source.why_not(name)))
    raise ParameterFault(
        f"Parameter “{parameter.name}”: {' and '.join(lacking)} has no value in this event, and the parameter is set "
        f"to hold the delivery then. {''.join(f'{each} ' for each in reasons)}Change the parameter, then retry; or "
        "cancel this, report the billing object and publish the event again."
    )


def _decimal(value: object) -> str:
    """A decimal of the payload becomes a string, so that no receiver reads it as a float."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


# Made once: json.dumps() would make an encoder for each value.
as_json = json.JSONEncoder(ensure_ascii=False, default=_decimal).encode
