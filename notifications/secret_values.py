"""Secret parameters enter a callout as it leaves: what is kept of it holds markers in their place."""

import json
from dataclasses import replace
from urllib.parse import quote, quote_plus

from .parameters import Given, Pairs, ParameterFault, marker, refuse_long
from .transports.base import Message


def fill(message: Message, parameters: tuple[Given, ...], *, is_new: bool) -> Message:
    """Return the message with its secrets. Raises ParameterFault where one cannot be read, or is there no more."""
    secrets = [each for each in parameters if each.is_secret]
    if not secrets and is_new:
        return message
    body, headers, query = message.body, message.headers, message.query
    spellings: list[str] = []
    for each in secrets:
        if each.trouble:
            raise ParameterFault(each.trouble)
        mark = marker(each.name, message.id)
        written = json.dumps(each.secret, ensure_ascii=False)[1:-1]
        body = body.replace(mark, written)
        headers, query = _put(headers, mark, each.secret), _put(query, mark, each.secret)
        # As it is read back: headers as Latin-1, URLs quoted either way.
        spellings += [each.secret, written, quote_plus(each.secret), quote(each.secret)]
        spellings.append(each.secret.encode().decode("latin-1"))
    ending = f" of {message.id})"
    for text in (body, *(value for _, value in (*headers, *query))):
        if ending in text:
            name = text.partition(ending)[0].rpartition("(secret ")[2]
            raise ParameterFault(
                f"It was written with the secret parameter “{name}”, which the subscription has no more. "
                "Add it again and retry, or cancel this delivery."
            )
    refuse_long(headers, query)
    # The longest first, so that no part of one is left.
    masked = tuple(sorted(set(spellings), key=len, reverse=True))
    return replace(message, body=body, headers=headers, query=query, secrets=masked)


def _put(pairs: Pairs, mark: str, secret: str) -> Pairs:
    return tuple((name, value.replace(mark, secret)) for name, value in pairs)
