"""Removing a mechanism at run time, by exact replacement in the SQL on its way to the database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection


@dataclass(kw_only=True)
class Mutation:
    """One statement of the engine without something; `hits` are the statements it changed."""

    replaces: str
    by: str
    hits: set[str] = field(default_factory=set)

    def __call__(
        self, execute: Callable[..., Any], statement: str, parameters: Any, many: bool, context: Any
    ) -> Any:
        if self.replaces in statement:
            assert statement.count(self.replaces) == 1, f"ambiguous in {statement}"
            self.hits.add(statement)
            statement = statement.replace(self.replaces, self.by)
        return execute(statement, parameters, many, context)


@contextmanager
def applied(mutations: list[Mutation]) -> Iterator[None]:
    """Apply these to what this thread's connection executes."""
    with ExitStack() as stack:
        for mutation in mutations:
            stack.enter_context(connection.execute_wrapper(mutation))
        yield


def assert_each_hit_one_statement(mutations: list[Mutation]) -> None:
    """A mutation that hits nothing, or more than it was meant for, proves nothing."""
    assert [len(mutation.hits) for mutation in mutations] == [1] * len(mutations)
