"""The shape of a catalog entry: tokens, groups of tokens, event types.

1. A token's sample is written once, as text. The sample payload of an event type is built from the samples
   of its tokens and the JSON Schema from their kinds, so that the three cannot drift apart.
2. Where an event needs another sample than its group gives (a cancelled account has status Cancelled), the
   event type says so in `samples`, by token name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

Operation = Literal["create", "update", "delete"]
Source = Literal["posted", "object_change", "threshold", "schedule", "inactivity", "chained"]


class Kind(StrEnum):
    """What a token's value is; the values are those of `events.models.Token.Kind`."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    LIST = "list"
    OBJECT = "object"


WRITTEN_AS_JSON = {Kind.INTEGER, Kind.BOOLEAN, Kind.LIST, Kind.OBJECT}


@dataclass(frozen=True, kw_only=True)
class TokenSpec:
    """One token: its dotted name, kind, meaning and a realistic sample, written as text."""

    name: str
    kind: Kind
    description: str
    sample: str
    group: str
    email_only: bool = False
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to the value in a payload."""
        return tuple(self.name.split("."))

    @property
    def is_identifier(self) -> bool:
        """Whether the value is an id, which a billing system may send as text or as a whole number."""
        return self.path[-1] == "id" or self.path[-1].endswith("_id")

    @property
    def value(self) -> Any:
        """The sample as it stands in a payload: money stays text, counts are numbers."""
        return json.loads(self.sample) if self.kind in WRITTEN_AS_JSON else self.sample


def token(name: str, kind: Kind, sample: str, description: str, **limits: Any) -> TokenSpec:
    """Return a token whose group is the first part of its name, until a `group` takes it in."""
    prefix, _, _ = name.partition(".")
    return TokenSpec(name=name, kind=kind, sample=sample, description=description, group=prefix, **limits)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tokens that come and go together, because one object (or the event itself) supplies them."""

    name: str
    tokens: tuple[TokenSpec, ...]
    in_payload: bool = True


def group(name: str, *tokens: TokenSpec, email_only: bool = False, in_payload: bool = True) -> Group:
    """Return the tokens as one group; `in_payload` is False for what the product itself supplies."""
    own = tuple(replace(spec, group=name, email_only=email_only) for spec in tokens)
    return Group(name=name, tokens=own, in_payload=in_payload)


@dataclass(frozen=True, kw_only=True)
class Only:
    """The single value that an event type accepts for a token, and what to do about any other."""

    value: Any
    remedy: str


@dataclass(frozen=True, kw_only=True)
class EventTypeSpec:
    """One built-in event type.

    `groups` are the token groups that are legal on it, `own` the tokens that only it (and its kin) has; a
    token of `own` replaces the one of the same name in a group. `required` names the tokens that a payload
    must carry, besides the one that orders it. `occurred_at` and `source` are those of the sample.
    """

    code: str
    label: str
    description: str
    operation: Operation
    category: str
    groups: tuple[Group, ...]
    own: tuple[TokenSpec, ...] = ()
    required: tuple[str, ...] = ()
    only: Mapping[str, Only] = field(default_factory=dict)
    samples: Mapping[str, str] = field(default_factory=dict)
    occurred_at: str = "2026-11-22T14:03:09Z"
    source: Source = "posted"
    ordering_prefix: str = "account"

    def __post_init__(self) -> None:
        known = {spec.name for spec in self.tokens}
        named = {*self.samples, *self.only, *self.required, self.ordering_path}
        if unknown := named - known:
            raise ValueError(f"{self.code} has no token {', '.join(sorted(unknown))}")

    @property
    def resource(self) -> str:
        """What the event is about: the part of its code before the dot."""
        return self.code.split(".")[0]

    @property
    def ordering_path(self) -> str:
        """Where the payload holds the id that orders the event."""
        return f"{self.ordering_prefix}.id"

    @cached_property
    def tokens(self) -> tuple[TokenSpec, ...]:
        """Every token that is legal on the event, with the samples of this event."""
        merged = {spec.name: spec for each in self.groups for spec in each.tokens}
        merged |= {spec.name: spec for spec in self.own}
        order_id = merged[self.ordering_path].sample
        samples = {
            "event.type": self.code,
            "event.label": self.label,
            "event.occurred_at": self.occurred_at,
            "event.ordering_key": f"{self.ordering_prefix}:{order_id}",
            "event.source": self.source,
            "now.datetime": self.occurred_at,
            "now.date": self.occurred_at[:10],
            "now.time": self.occurred_at[11:16],
            **self.samples,
        }
        return tuple(replace(spec, sample=samples.get(name, spec.sample)) for name, spec in merged.items())

    @property
    def payload_tokens(self) -> tuple[TokenSpec, ...]:
        """The tokens that a payload carries: all but the product's own (event, owner, now)."""
        outside = {spec.name for each in self.groups if not each.in_payload for spec in each.tokens}
        return tuple(spec for spec in self.tokens if spec.name not in outside)
