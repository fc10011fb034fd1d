"""The console's pages for who is told, and how it went."""

from . import (
    audit,
    delivery,
    endpoint,
    engine,
    event,
    event_type,
    feedback,
    feedback_address,
    letterhead,
    mail,
    misfit,
    profile,
    profile_rule,
    queue,
    subscription,
)

__all__ = [
    "audit",
    "delivery",
    "endpoint",
    "engine",
    "event",
    "event_type",
    "feedback",
    "feedback_address",
    "letterhead",
    "mail",
    "misfit",
    "profile",
    "profile_rule",
    "queue",
    "subscription",
]
