"""JSON that keeps numbers as they were written: ints and Decimals, never floats."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.encoding import force_str
from psycopg.types.json import Jsonb

_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=force_str)
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def dumps(value: Any) -> str:
    """Write JSON; a Decimal is a number with all its digits, a datetime ISO 8601, what is unknown its text."""
    return _ENCODER.encode(value).decode()


def loads(text: str | bytes) -> Any:
    """Read JSON; a number is an int or a Decimal."""
    try:
        return _DECODER.decode(text)
    except InvalidOperation as error:
        raise ValueError(f"A number is out of range: {error}") from None


class ExactJSONField(models.JSONField):
    """A jsonb column, which keeps 19.90 as 19.90, read and written without floats."""

    def from_db_value(self, value: Any, *_: Any) -> Any:
        """Read the column's text, which Django has psycopg leave alone."""
        if value is None or not isinstance(value, str):
            return value
        return loads(value)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Write plain values by this module, expressions as Django does."""
        if value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_value(value, connection, prepared)
        return Jsonb(value, dumps=dumps)
