"""Who is told, and how it went."""

from .audit import AuditEntry
from .authentication import EndpointHeader, RetiredSecret
from .circuit import Circuit
from .cluster import Cluster
from .delivery import Channel, Delivery, Lane, Runner
from .endpoint import Endpoint
from .mail import EmailTemplate, ProfileRule
from .parameter import Parameter
from .records import Attempt, RenderedBody
from .subscription import Filter, Recipient, Subscription

__all__ = [
    "Attempt",
    "AuditEntry",
    "Channel",
    "Circuit",
    "Cluster",
    "Delivery",
    "EmailTemplate",
    "Endpoint",
    "EndpointHeader",
    "Filter",
    "Lane",
    "Parameter",
    "ProfileRule",
    "Recipient",
    "RenderedBody",
    "RetiredSecret",
    "Runner",
    "Subscription",
]
