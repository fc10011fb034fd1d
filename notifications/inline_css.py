"""Style sheets into style attributes, which is what mail readers honour. Once for each version of a template."""

from functools import lru_cache

import css_inline
from django.core.exceptions import ValidationError

from . import markup

# Rules such as @media stay in the head: phones and dark mode live there. Nothing is fetched or read.
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)


@lru_cache(maxsize=256)
def inlined(html: str) -> str:
    """Return HTML with Liquid in it, its style sheets inlined. Raises a ValidationError for what cannot be."""
    if "<style" not in html.lower():
        return html
    markup.refuse_deep(html)
    marked, pieces = markup.hide(html, comments=True)
    try:
        return markup.show(_INLINER.inline(marked), pieces)
    except css_inline.InlineError as error:
        raise ValidationError(f"Its style sheet cannot be inlined: {error}", code="css") from error
