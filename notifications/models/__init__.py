"""Who is told, and how it went."""

from .audit import AuditEntry
from .authentication import EndpointHeader, RetiredSecret
from .circuit import Circuit
from .cluster import Cluster
from .delivery import Channel, Delivery, Lane, Runner
from .digest import Collected, Digest
from .endpoint import Endpoint
from .feedback import DeliveryFeedback, FeedbackAddress, OptOut, Suppression
from .mail import EmailLayout, EmailPartial, EmailTemplate, EmailVariant, ProfileRule
from .parameter import Parameter
from .records import Attempt, RenderedBody
from .subscription import Filter, Recipient, Subscription

__all__ = [
    "Attempt",
    "AuditEntry",
    "Channel",
    "Circuit",
    "Cluster",
    "Collected",
    "Delivery",
    "DeliveryFeedback",
    "Digest",
    "EmailLayout",
    "EmailPartial",
    "EmailTemplate",
    "EmailVariant",
    "Endpoint",
    "EndpointHeader",
    "FeedbackAddress",
    "Filter",
    "Lane",
    "OptOut",
    "Parameter",
    "ProfileRule",
    "Recipient",
    "RenderedBody",
    "RetiredSecret",
    "Runner",
    "Subscription",
    "Suppression",
]
