"""Mail templates as they are rendered: layout, partials, preheader and style sheets put together, once a version.

All of it is text put into text before Liquid sees it, so that limits and the check of tokens see the whole.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from django.core.exceptions import ValidationError

from . import liquid
from .inline_css import inlined
from .models import EmailLayout, EmailPartial, EmailTemplate, EmailVariant
from .plain_text import derived

SLOT = re.compile(r"\{\{-?\s*content\s*-?\}\}")
_PREHEADER = re.compile(r"\{\{-?\s*preheader\s*-?\}\}")
PARTIAL = re.compile(r"""\{%-?\s*render\s+(?:'([\w-]+)'|"([\w-]+)")\s*-?%\}""")
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_HIDDEN = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{}</div>'

Partials = tuple[tuple[str, str, str], ...]  # name, HTML, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one mail says in one language, in Liquid."""

    locale: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail template in all its languages; its own comes first."""

    words: tuple[Words, ...]

    def in_locale(self, wanted: str) -> Words:
        """Return the words for de-AT: those, else those for de, else the template's own."""
        own = self.words[0]
        if len(self.words) == 1:
            return own
        by_locale = {each.locale.lower(): each for each in reversed(self.words)}
        exact = wanted.replace("_", "-").lower()
        language = exact.partition("-")[0]
        if own.locale.lower() == exact:
            return own
        return by_locale.get(exact) or by_locale.get(language) or own


def letter_of(
    template: EmailTemplate,
    *,
    layout: EmailLayout | None = None,
    variants: list[EmailVariant] | None = None,
    partials: Partials | None = None,
) -> Letter:
    """Return a template put together. Raises a ValidationError naming the field that is at fault.

    What is not given is read: its layout, variants and the partials that it names.
    """
    layout = layout or template.layout
    if variants is None:
        variants = list(template.variants.all()) if template.pk else []
    parts: list[EmailTemplate | EmailVariant] = [template, *variants]
    if partials is None:
        sources = [source for part in parts for source in (part.html, part.text)]
        sources += [layout.html, layout.text] if layout else []
        partials = read_partials() if any(PARTIAL.search(source) for source in sources) else ()
    return Letter(
        words=tuple(
            Words(
                locale=part.locale,
                subject=part.subject,
                **_bodies(
                    part.html,
                    part.text,
                    part.preheader,
                    layout.html if layout else "",
                    layout.text if layout else "",
                    partials,
                ),
            )
            for part in parts
        )
    )


def used_names(letter: Letter) -> set[str]:
    """Return the tokens that a letter uses, in any language. Raises liquid.TemplateFault."""
    sources = (source for words in letter.words for source in (words.subject, words.text, words.html))
    return {name for source in sources for name in liquid.names(source)}


def read_partials() -> Partials:
    """Return every partial. One statement."""
    return tuple(EmailPartial.objects.order_by("name").values_list("name", "html", "text"))


@lru_cache(maxsize=256)
def _bodies(  # noqa: PLR0917 - the key of the cache
    html: str, text: str, preheader: str, layout_html: str, layout_text: str, partials: Partials
) -> Mapping[str, str]:
    """Return the HTML and the text, ready to be rendered."""
    framed = SLOT.sub(lambda _: html, layout_html) if html and layout_html else html
    framed = _expand(framed, {name: part for name, part, _ in partials}, field="html")
    if text:
        words = SLOT.sub(lambda _: text, layout_text) if layout_text else text
        words = _expand(words, {name: part for name, _, part in partials}, field="text")
    else:
        words = _at("html", derived, _PREHEADER.sub("", framed))
    return {"text": words, "html": _at("html", inlined, _with_preheader(framed, preheader))}


def _with_preheader(html: str, preheader: str) -> str:
    if _PREHEADER.search(html):
        return _PREHEADER.sub(lambda _: preheader, html)
    if not preheader or not html:
        return html
    hidden = _HIDDEN.format(preheader)
    body = _BODY.search(html)
    return html[: body.end()] + hidden + html[body.end() :] if body else hidden + html


def _expand(source: str, partials: Mapping[str, str], *, field: str) -> str:
    def partial(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in partials:
            near = get_close_matches(name, partials, n=1)
            hint = f" Did you mean “{near[0]}”?" if near else " Add it under Email partials."
            raise ValidationError({field: f"There is no partial “{name}”.{hint}"}, code="partial")
        return partials[name]

    return PARTIAL.sub(partial, source)


def _at(field: str, change: Callable[[str], str], source: str) -> str:
    try:
        return change(source)
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from error
