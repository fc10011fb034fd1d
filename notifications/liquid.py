"""Administrators' templates, in Liquid, behind bounds that hold whatever they contain.

They see plain values only. Source, loops, texts, lists, numbers and output are limited, and each render by
a wall clock that every node reads, so that it works in any thread.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, NoReturn, cast

from django.core.exceptions import ValidationError
from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.utils import ReadOnlyChainMap

from . import liquid_filters, liquid_json, liquid_library, liquid_straight
from .liquid_places import Place
from .liquid_values import Values

Kind = Literal["text", "html", "json"]

MAX_SOURCE = 100_000  # characters
MAX_MARKUP = 2_000  # characters of one {{ … }} or {% … %}
SECONDS = 1.0  # for one render

_TEXT = ("content", "output", "illegal", "comment", "#")
_CONTROL = ("if", "unless", "case", "for", "break", "continue", "assign", "capture", "cycle")
TAGS = frozenset((*_TEXT, *_CONTROL))
_OPENING = re.compile(r"\{\{|\{%-?\s*(\w*)")
_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# Strings are matched so that they are passed over.
_OFFSET = re.compile(r""""[^"]*"|'[^']*'|(?<![\w.])offset(?=\.)""")
_BLANK_RUN = re.compile(r"\s{100}")
_DEFAULT = re.compile(r"\|\s*default\b")


class TemplateFault(Exception):  # noqa: N818 - named for the fact
    """A template that cannot be compiled or rendered: says what is wrong, and in which line if known."""

    def __init__(self, detail: str, *, line: int | None = None) -> None:
        super().__init__(f"Line {line}: {detail}" if line else detail)
        self.detail = detail
        self.line = line


@dataclass(slots=True)
class _Clock:
    """When a render must be done."""

    ends: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def check(self) -> None:
        if time.monotonic() > self.ends:
            raise ResourceLimitError(f"rendering took longer than {SECONDS:g} s", token=None)


class _Context(RenderContext):
    """A context without the library's own `now` and `today`, whose every node looks at the clock."""

    __slots__ = ("_clock", "_disabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clock = _Clock()
        super().__init__(*args, **kwargs)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    # Node.render asks for this before each node: the one hook that no template can avoid.
    @property
    def disabled_tags(self) -> list[str]:
        self._clock.check()
        return self._disabled

    @disabled_tags.setter
    def disabled_tags(self, names: list[str]) -> None:
        self._disabled = names

    def filter(self, name: str, token: Any) -> Any:
        self._clock.check()
        return super().filter(name, token)


class _Template(BoundTemplate):
    context_class = _Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps = liquid_straight.steps(self.nodes)


class _Environment(Environment):
    template_class = _Template
    loop_iteration_limit: ClassVar[int | None] = 10_000
    output_stream_limit: ClassVar[int | None] = 256 * 1024
    local_namespace_limit: ClassVar[int | None] = 1024 * 1024
    context_depth_limit: ClassVar[int] = 30
    block_nesting_limit: ClassVar[int] = 30

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: tag for name, tag in self.tags.items() if name in TAGS}
        liquid_filters.install(self)


class _JsonEnvironment(_Environment):
    output_stream_limit: ClassVar[int | None] = liquid_json.MAX_OUTPUT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        liquid_json.install(self)


liquid_library.adjust()
_ENVIRONMENTS: dict[Kind, Environment] = {
    "text": _Environment(),
    "html": _Environment(autoescape=True),
    "json": _JsonEnvironment(),
}


def render(source: str, context: Mapping[str, Any], *, kind: Kind, place: Place | None = None) -> str:
    """Return the text of a template; HTML and JSON have every value escaped. A missing value is empty.

    `context` holds JSON-like values: mappings, lists, texts, numbers, dates; or it is the Values that several
    templates share. With a `place`, money, numbers and dates are written as people there write them.
    Raises TemplateFault.
    """
    if "{" not in source:
        return source
    values = context if isinstance(context, Values) else Values(context, place)
    try:
        template = _compiled(source, kind)
        return liquid_straight.render(template, template.steps, values)
    except TemplateFault:
        raise
    except Exception as error:
        _fail(error)


def names(source: str) -> set[str]:
    """Return the tokens that a template uses, dotted, without its own variables. Raises TemplateFault.

    A path that is worked out at run time (`invoice[account.name]`) counts as its fixed part: `invoice`.
    """
    return {name for name, _ in _uses(source)}


def printed(source: str) -> set[str]:
    """Return the tokens that a template only prints: neither tested by a tag nor given a default."""
    source = _MARKUP.sub(_quote_offset, source)
    looked_at: set[str] = set()
    shown: set[str] = set()
    for name, index in _uses(source):
        opening = max(source.rfind("{{", 0, index), source.rfind("{%", 0, index))
        ending = source.find("}}", index)
        is_output = source.startswith("{{", opening) and not _DEFAULT.search(source, index, ending)
        (shown if is_output else looked_at).add(name)
    return shown - looked_at


def _uses(source: str) -> list[tuple[str, int]]:
    """Return each use of a token: its name, and where in the source it stands."""
    if "{" not in source:
        return []
    try:
        used = _compiled(source, "text").analyze(include_partials=False).globals
    except LiquidError as error:
        _fail(error)
    found = []
    for variables in used.values():
        for variable in variables:
            fixed = []
            for segment in variable.segments:
                if not isinstance(segment, str):
                    break
                fixed.append(segment)
            found.append((".".join(fixed), variable.span.index))
    return found


def check(source: str) -> None:
    """Compile a template. Raises ValidationError with the fault and its line."""
    try:
        _compiled(source, "text")
    except TemplateFault as fault:
        raise ValidationError(str(fault), code="liquid") from fault


@lru_cache(maxsize=512)
def _compiled(source: str, kind: Kind) -> _Template:
    refuse_markup(source)
    try:
        return cast(_Template, _ENVIRONMENTS[kind].from_string(_MARKUP.sub(_quote_offset, source)))
    except Exception as error:
        _fail(error)


def _quote_offset(markup: re.Match[str]) -> str:
    """Quote the token group `offset`, which is a keyword to the library's lexer."""
    return _OFFSET.sub(lambda found: '["offset"]' if found[0] == "offset" else found[0], markup[0])


def refuse_markup(source: str) -> None:
    """Refuse what the library's lexer needs minutes for: markup that is long, blank or never closed.

    Raises TemplateFault.
    """
    if len(source) > MAX_SOURCE:
        raise TemplateFault(
            f"a template has at most {MAX_SOURCE:,} characters; this one has {len(source):,}."
        )
    position = 0
    while opening := _OPENING.search(source, position):
        line = source.count("\n", 0, opening.start()) + 1
        start, closing = opening.start(), "}}" if opening.group() == "{{" else "%}"
        end = source.find(closing, start + 2)
        if end < 0:
            opened = source[start : start + 20].strip()
            raise TemplateFault(f"{opened} is never closed by {closing}.", line=line)
        if end - start > MAX_MARKUP or _BLANK_RUN.search(source, start, end):
            raise TemplateFault(f"a tag has at most {MAX_MARKUP:,} characters and no long blanks.", line=line)
        if opening.group(1) in {"raw", "doc"}:
            raise TemplateFault(f"the tag “{opening.group(1)}” is not available.", line=line)
        position = end + 2


def _fail(error: Exception) -> NoReturn:
    """Raise the TemplateFault that tells an administrator what an error means."""
    line = None
    detail = str(error)
    if isinstance(error, LiquidError):
        cause = error.__cause__
        detail = str(error.message or cause or type(error).__name__)
        position = error.context() if error.token and error.token.source else None
        line = position[0] if position else None
    elif isinstance(error, RecursionError):
        detail = "too many levels inside one another"
    raise TemplateFault(detail, line=line) from error
