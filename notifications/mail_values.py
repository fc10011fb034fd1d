"""What the words of a mail need: of the payload, else of the billing objects as they were at publishing."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from events.as_published import CONTACTS, OWN

from . import liquid
from .assemble import Letter
from .data_source import DataSource, complete
from .match import resolve

_NOT_OBJECTS = OWN | CONTACTS | {"unsubscribe", "digest"}
# They choose between languages, and how dates and amounts are written.
_OF_PLACE = frozenset({"account.locale", "account.timezone"})


def with_objects(context: dict[str, Any], letter: Letter, *, about: str, event: UUID) -> dict[str, Any]:
    """Return the values of an event's mail; `about` is the event type's code. Raises liquid.TemplateFault.

    Objects are asked, in one statement, only where the payload lacks what the letter names.
    """
    names = _names(letter)
    if all(resolve(context, name) is not None for name in names):
        return context
    return complete(context, set(names), DataSource(context, about.partition(".")[0], event=event))


@lru_cache(maxsize=256)
def _names(letter: Letter) -> frozenset[str]:
    texts = (text for words in letter.words for text in (words.subject, words.text, words.html))
    named = {name for text in texts for name in liquid.names(text)}
    found = frozenset(name for name in named if "." in name and name.partition(".")[0] not in _NOT_OBJECTS)
    return found | _OF_PLACE if len(letter.words) > 1 else found
