"""Liquid that writes JSON: a value inside quotes stays inside them, whatever it holds.

`{{ name }}` is escaped as the inside of a JSON text, `{{ name | json }}` is a whole JSON value with its quotes
where it needs them, and what is kept exact goes in as the text that it came from.
"""

import json
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, TextIO

from liquid import Environment, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.stringify import to_liquid_string

# Around a payload, which alone may have 256 KB.
MAX_OUTPUT = 512 * 1024  # bytes


class Exact(dict[str, Any]):
    """A mapping that is written as the JSON text it was read from."""

    def __init__(self, value: Mapping[str, Any], text: str) -> None:
        super().__init__(value)
        self.text = text


class _Written(str):
    """Text that is JSON already."""

    __slots__ = ()


def install(environment: Environment) -> None:
    """Have an environment write JSON."""
    environment.add_tag(_Output)
    environment.add_tag(_Capture)
    environment.filters["json"] = _whole(environment.filters["json"])


def _whole(as_json: Callable[..., Any]) -> Callable[..., Any]:
    def write(value: object) -> _Written:
        return _Written(value.text if isinstance(value, Exact) else as_json(value))

    return write


def _inside(value: object) -> str:
    """Return a value as it stands between the quotes of a JSON text, or alone where it is no text."""
    if isinstance(value, Exact):
        return value.text
    if isinstance(value, _Written):
        return str.__str__(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return json.encoder.encode_basestring(to_liquid_string(value, autoescape=False))[1:-1]


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_inside(self.expression.evaluate(context)))


class _Output(Output):
    node_class = _OutputNode


class _CaptureNode(CaptureNode):
    def _assign(self, context: RenderContext, buf: StringIO) -> None:
        # Its pieces were escaped as they were written.
        context.assign(self.name, _Written(buf.getvalue()))


class _Capture(CaptureTag):
    node_class = _CaptureNode
