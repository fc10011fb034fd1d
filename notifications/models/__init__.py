"""Who is told, and how it went."""

from .audit import AuditEntry
from .authentication import EndpointHeader, RetiredSecret
from .channel import Channel
from .circuit import Circuit
from .cluster import Cluster
from .delivery import Delivery, Lane
from .digest import Collected, Digest
from .endpoint import Endpoint
from .feedback import DeliveryFeedback, FeedbackAddress, OptOut, Suppression
from .mail import EmailLayout, EmailPartial, EmailTemplate, EmailVariant, ProfileRule
from .misfit import Misfit
from .parameter import Parameter
from .pull import PullCursor
from .records import Attempt, RenderedBody
from .replay import Replay
from .runner import Runner
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
    "Misfit",
    "OptOut",
    "Parameter",
    "ProfileRule",
    "PullCursor",
    "Recipient",
    "RenderedBody",
    "Replay",
    "RetiredSecret",
    "Runner",
    "Subscription",
    "Suppression",
]
