"""The text part of a mail, made of its HTML where an administrator wrote none. Once for each version."""

import re
from functools import lru_cache

import inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from . import markup

_CONFIG = ParserConfig(css=CSS_PROFILES["strict"], display_links=True)
_WORD = r"lqd\d+x"
_ROW = r"(?:tr|td|th|tbody|thead)"
# What repeats or leaves out rows stands between them; text there would be lost.
_BEFORE_ROWS = re.compile(rf"({_WORD})\s*((?:<{_ROW}\b[^<>]*>\s*)+)", re.IGNORECASE)
_AFTER_ROWS = re.compile(rf"((?:</{_ROW}\s*>\s*)+)({_WORD})", re.IGNORECASE)
_HIDDEN = re.compile(r"<(div|span|p)\b[^<>]*display:\s*none[^<>]*>.{0,2000}?</\1\s*>", re.DOTALL | re.I)


@lru_cache(maxsize=256)
def derived(html: str) -> str:
    """Return the text of HTML with Liquid in it: the Liquid stays. Hidden elements and the head are left out."""
    markup.refuse_deep(html)
    marked, pieces = markup.hide(_HIDDEN.sub("", _without_head(html)), comments=False)
    closers = {number for number, piece in enumerate(pieces) if re.match(r"\{%-?\s*end", piece)}
    of_rows: set[int] = set()

    def ahead(found: re.Match[str]) -> str:
        return found[0] if int(found[1][3:-1]) in closers else found[2] + found[1]

    def back(found: re.Match[str]) -> str:
        number = int(found[2][3:-1])
        if number not in closers:
            return found[0]
        of_rows.add(number)
        return found[2] + found[1]

    marked = _BEFORE_ROWS.sub(ahead, _AFTER_ROWS.sub(back, marked))
    text = inscriptis.get_text(marked, _CONFIG) + "\n"
    for number in sorted(of_rows, reverse=True):
        # Each repetition ends its own line.
        text = re.sub(rf"(lqd{number}x)[ \t]*\n", r"\n\1", text)
    text = "\n".join(line.rstrip() for line in markup.show(text, pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _without_head(html: str) -> str:
    lowered = html.lower()
    start, end = lowered.find("<head"), lowered.find("</head>")
    return html[:start] + html[end:] if 0 <= start < end else html
