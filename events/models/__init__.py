"""What happened, and who may touch it."""

from .catalog import EventType, Operation, Token
from .event import Event, IdempotencyKey, InboxEntry, QuarantinedEvent
from .objects import BillingObject, Trigger, TriggerCondition
from .parties import ApiKey, Grant, Scope, Subscriber
from .queues import Queue, Route

__all__ = [
    "ApiKey",
    "BillingObject",
    "Event",
    "EventType",
    "Grant",
    "IdempotencyKey",
    "InboxEntry",
    "Operation",
    "QuarantinedEvent",
    "Queue",
    "Route",
    "Scope",
    "Subscriber",
    "Token",
    "Trigger",
    "TriggerCondition",
]
