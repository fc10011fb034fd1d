"""What happened, and who may touch it."""

from .activity import Activity
from .catalog import EventType, Operation, Token
from .changes import Change
from .event import Event, IdempotencyKey, InboxEntry, QuarantinedEvent
from .objects import BillingObject, ObjectKind, Trigger, TriggerCondition
from .parties import ApiKey, Grant, Scope, Subscriber
from .queues import Queue, Route

__all__ = [
    "Activity",
    "ApiKey",
    "BillingObject",
    "Change",
    "Event",
    "EventType",
    "Grant",
    "IdempotencyKey",
    "InboxEntry",
    "ObjectKind",
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
