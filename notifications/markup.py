"""Carrying Liquid through programs that know HTML only: each piece of markup becomes a mark, and returns later.

An HTML parser moves text that stands between table rows out of the table, and escapes quotation marks and
angle brackets of conditions. It leaves comments where they are.
"""

import re
from collections.abc import Callable
from html.parser import HTMLParser

from django.core.exceptions import ValidationError

from . import liquid

MAX_NESTING = 200  # elements inside one another; a parser in C runs out of stack at some thousands
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TAG = re.compile(r"""<!--|<(/?\w*)(?:"[^"]*"|'[^']*'|[^'"<>])*>""")
_RAW = frozenset({"title", "style", "textarea"})
_MARK = re.compile(r'<!--lqd(\d+)x-->|lqd(\d+)x(?:="")?')
_IN_TAG = re.compile(r"\"[^\"]*\"|'[^']*'|lqd\d+x")
_WORD = re.compile(r"lqd\d+x")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
# What the next of its kind closes cannot pile up by itself.
_CLOSED_BY_OTHERS = frozenset(
    ["body", "dd", "dt", "head", "html", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"]
)


def hide(source: str, *, comments: bool) -> tuple[str, list[str]]:
    """Return HTML with marks for its Liquid, and the pieces they stand for.

    With `comments`, marks between elements are comments; inside of a tag, and without it, they are words.
    Raises a ValidationError for Liquid that cannot be read.
    """
    try:
        liquid.refuse_markup(source)
    except liquid.TemplateFault as fault:
        raise ValidationError(str(fault), code="liquid") from fault
    pieces: list[str] = []

    def word(found: re.Match[str]) -> str:
        pieces.append(found[0])
        return f"lqd{len(pieces) - 1}x"

    marked = _LIQUID.sub(word, source)
    if comments:
        marked = _outside(
            marked, lambda text: _WORD.sub(r"<!--\g<0>-->", text), lambda tag: _join(tag, pieces)
        )
    return marked, pieces


def show(marked: str, pieces: list[str]) -> str:
    """Return the text with its Liquid in place of the marks."""

    def piece(mark: re.Match[str]) -> str:
        number = int(mark[1] or mark[2])
        return pieces[number] if number < len(pieces) else mark[0]

    return _MARK.sub(piece, marked)


def refuse_deep(html: str) -> None:
    """Raise a ValidationError where elements are nested too deeply, closed or not."""
    depth = _Depth()
    depth.feed(html)
    if depth.most > MAX_NESTING:
        raise ValidationError(
            f"Elements are nested more than {MAX_NESTING} deep. Close each one that you open.", code="nesting"
        )


def _join(tag: str, pieces: list[str]) -> str:
    """Make one mark of all that Liquid puts between the attributes of a tag: a parser gives them another order."""
    bare = [
        found.span()
        for found in _IN_TAG.finditer(tag)
        if found[0].startswith("lqd") and tag[found.start() - 1] != "="
    ]
    if not bare:
        return tag
    start, end = bare[0][0], bare[-1][1]
    pieces.append(show(tag[start:end], pieces))
    return f"{tag[:start]} lqd{len(pieces) - 1}x {tag[end:]}"


def _outside(text: str, change: Callable[[str], str], change_tag: Callable[[str], str]) -> str:
    """Change what stands outside of tags, and of comments and elements that hold no others; and the tags."""
    lowered, position, result = text.lower(), 0, []
    while found := _TAG.search(text, position):
        result.append(change(text[position : found.start()]))
        name = (found[1] or "").lower()
        closing = "-->" if found[0] == "<!--" else f"</{name}" if name in _RAW else ""
        position = found.end()
        result.append(change_tag(found[0]))
        if closing:
            end = lowered.find(closing, position)
            end = len(text) if end < 0 else end + len(closing)
            result.append(text[position:end])
            position = end
    return "".join([*result, change(text[position:])])


class _Depth(HTMLParser):
    """Counts what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._open = 0

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in _VOID and tag not in _CLOSED_BY_OTHERS:
            self._open += 1
            self.most = max(self.most, self._open)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and tag not in _CLOSED_BY_OTHERS:
            self._open = max(self._open - 1, 0)
