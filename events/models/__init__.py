"""What happened, and who may touch it."""

from .activity import Activity
from .catalog import EventType, Operation, Token
from .changes import Change
from .event import Event, IdempotencyKey, InboxEntry, QuarantinedEvent, WithheldEvent
from .firings import AnchorEntry, BackTest, EvaluatorCall, Firing, LedgerEntry, ScheduledFiring, TriggerDay
from .objects import BillingObject, ObjectKind
from .parties import ApiKey, Grant, Scope, Subscriber
from .queues import Queue, Route
from .trigger_parts import (
    TriggerCancellation,
    TriggerCondition,
    TriggerField,
    TriggerPlan,
    TriggerThreshold,
)
from .triggers import Trigger

__all__ = [
    "Activity",
    "AnchorEntry",
    "ApiKey",
    "BackTest",
    "BillingObject",
    "Change",
    "EvaluatorCall",
    "Event",
    "EventType",
    "Firing",
    "Grant",
    "IdempotencyKey",
    "InboxEntry",
    "LedgerEntry",
    "ObjectKind",
    "Operation",
    "QuarantinedEvent",
    "Queue",
    "Route",
    "ScheduledFiring",
    "Scope",
    "Subscriber",
    "Token",
    "Trigger",
    "TriggerCancellation",
    "TriggerCondition",
    "TriggerDay",
    "TriggerField",
    "TriggerPlan",
    "TriggerThreshold",
    "WithheldEvent",
]
