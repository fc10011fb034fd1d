"""The 17 event types that every installation has, their tokens, sample payloads and JSON Schemas.

This is the source; `manage.py sync_catalog` copies it to rows, beside which administrators add their own.
"""

from . import accounts, derive, invoices, payments, runs, services, usage
from .types import EventTypeSpec, Group, Kind, Only, TokenSpec

__all__ = [
    "BUILTIN",
    "BY_CODE",
    "DIALECT",
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
BY_CODE: dict[str, EventTypeSpec] = {spec.code: spec for spec in BUILTIN}

DIALECT = derive.DIALECT
sample = derive.sample
schema = derive.schema
