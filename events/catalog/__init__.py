"""The 17 event types that every installation has, and some further ones; tokens, samples and JSON Schemas.

This is the source; `manage.py sync_catalog` copies it to rows, beside which administrators add their own.
"""

from . import accounts, derive, further, invoices, payments, runs, services, usage
from .types import EventTypeSpec, Group, Kind, Only, TokenSpec

__all__ = [
    "BUILTIN",
    "BY_CODE",
    "DIALECT",
    "FURTHER",
    "SHIPPED",
    "EventTypeSpec",
    "Group",
    "Kind",
    "Only",
    "TokenSpec",
    "sample",
    "schema",
]

BUILTIN: tuple[EventTypeSpec, ...] = (
    *services.EVENT_TYPES,
    *accounts.EVENT_TYPES,
    *runs.EVENT_TYPES,
    *invoices.EVENT_TYPES,
    *payments.EVENT_TYPES,
    *usage.EVENT_TYPES,
)
# What is added, and the end of what another event told of: made by triggers more than posted.
FURTHER: tuple[EventTypeSpec, ...] = further.EVENT_TYPES
SHIPPED = BUILTIN + FURTHER
BY_CODE: dict[str, EventTypeSpec] = {spec.code: spec for spec in SHIPPED}

DIALECT = derive.DIALECT
sample = derive.sample
schema = derive.schema
