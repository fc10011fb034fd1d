"""Templates as what they mostly are: texts, and values that are printed where their path leads.

Those are put together here. To the library that is a scope, a stream and some nine calls for each node, which
is what `if`, `for`, `assign` and filters need. They are left to it, among the others and in their order.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from liquid import BoundTemplate, Markup, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, LiquidInterrupt, LiquidSyntaxError, OutputStreamLimitError
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string

from .liquid_values import MISSING, Values

_ESCAPED = re.compile(r"[&<>\"']")
# What they mean depends on the value.
_METHODS = frozenset({"size", "first", "last"})


class Printed(NamedTuple):
    """A value that is printed as it is."""

    path: tuple[str, ...]
    node: Node


Step = str | Printed | Node


def steps(nodes: Iterable[Node]) -> tuple[Step, ...]:
    """Return what rendering these nodes takes."""
    found: list[Step] = []
    for node in nodes:
        step = _step(node)
        if isinstance(step, str) and found and isinstance(found[-1], str):
            found[-1] += step
        else:
            found.append(step)
    return tuple(found)


def _step(node: Node) -> Step:
    if type(node) is ContentNode:
        return node.text
    # Exactly: the one of JSON escapes in its own way.
    if type(node) is OutputNode and type(node.expression) is FilteredExpression:
        printed = node.expression.left
        if type(printed) is Path and not node.expression.filters:
            path = tuple(segment for segment in printed.path if isinstance(segment, str))
            if len(path) == len(printed.path) and _METHODS.isdisjoint(path[1:]):
                return Printed(path, node)
    return node


def render(template: BoundTemplate, todo: Iterable[Step], values: Values) -> str:
    """Return the text of a template. Raises what the library raises."""
    parts: list[str] = []
    context: RenderContext | None = None
    limit, length, escapes = template.env.output_stream_limit or 0, 0, template.env.autoescape
    for step in todo:
        if isinstance(step, str):
            text = step
        elif isinstance(step, Printed) and (context is None or step.path[0] not in context.locals):
            text = _text(values.at(step.path), escapes=escapes)
        else:
            context = context or template.context_class(template, globals=values)
            node = step.node if isinstance(step, Printed) else step
            text = _by_library(template, node, context, limit - length)
        parts.append(text)
        length += len(text)
        if length > limit:
            raise OutputStreamLimitError("output stream limit reached", token=None)
    whole = "".join(parts)
    # In bytes, of which there are at most four a character.
    if 4 * length > limit and len(whole.encode()) > limit:
        raise OutputStreamLimitError("output stream limit reached", token=None)
    return whole


def _text(value: object, *, escapes: bool) -> str:
    if type(value) is str:
        return Markup.escape(value) if escapes and _ESCAPED.search(value) else value
    return "" if value is MISSING else to_liquid_string(value, escapes)


def _by_library(template: BoundTemplate, node: Node, context: RenderContext, room: int) -> str:
    try:
        if type(node) is OutputNode:
            return to_liquid_string(node.expression.evaluate(context), context.autoescape)
        buffer = LimitedStringIO(limit=room)
        node.render(context, buffer)
        return buffer.getvalue()
    except LiquidInterrupt as error:
        template.env.error(LiquidSyntaxError(f"unexpected '{error}'", token=node.token))
    except LiquidError as error:
        template.env.error(error, token=node.token)
    return ""
