"""The sample endpoints and the subscriptions that call them, with parameters of each kind and a filter."""

from events.models import EventType, Queue, Subscriber
from notifications.models import Endpoint, Filter, Parameter, Subscription

from .rows import ensure, ensure_subscription

ERP, CARE, COLLECTIONS = "ERP intake", "Care desk", "Collections"
ENDPOINTS = {
    ERP: ("ERP connector", "https://erp.example.test", "/intake/billing-events"),
    CARE: ("Customer care", "https://hooks.example-telecom.test", "/care/tickets"),
    COLLECTIONS: ("Revenue operations", "https://hooks.example-telecom.test", "/revenue/collections"),
}
_AMOUNT = "invoice.overdue_amount"
_FOR_CARE = ("service.state_transitioned", "sim.dormant", "usage.threshold_exceeded")


def ensure_endpoints(subscribers: dict[str, Subscriber]) -> dict[str, Endpoint]:
    """Return the endpoints by name, saved if they are missing."""
    return {
        name: ensure(
            Endpoint,
            subscriber=subscribers[subscriber],
            name=name,
            defaults={"base_url": base_url, "path": path},
        )
        for name, (subscriber, base_url, path) in ENDPOINTS.items()
    }


def ensure_webhooks(
    endpoints: dict[str, Endpoint], queues: dict[str, Queue], types: dict[str, EventType]
) -> None:
    """Save the webhook subscriptions that are missing."""
    ensure_subscription(
        _subscription("Every event, in order", endpoints[ERP], queues["billing"]),
        parameters=[
            _parameter("label", "event.label"),
            _parameter("tenant", "example-telecom", source="static", placement="query"),
            _parameter(
                "X-Summary",
                "{{ event.label }} for {{ event.ordering_key }}",
                source="liquid",
                placement="header",
            ),
        ],
    )
    ensure_subscription(
        _subscription("Tickets for the care desk", endpoints[CARE], queues["bulk"]),
        event_types=[types[code] for code in _FOR_CARE if code in types],
        parameters=[
            _parameter("customer", "account.display_name"),
            _parameter("service", "service.identifier"),
            _parameter(
                "title",
                "{{ event.label }}: {{ account.display_name }}, {{ service.name }}",
                source="liquid",
            ),
        ],
    )
    if "invoice.overdue" in types:
        ensure_subscription(
            _subscription("Overdue invoices above 200", endpoints[COLLECTIONS], queues["billing"]),
            event_types=[types["invoice.overdue"]],
            parameters=[
                _parameter("invoice", "invoice.number"),
                _parameter("amount", f"{{{{ {_AMOUNT} | money: invoice.currency }}}}", source="liquid"),
            ],
            filters=[Filter(token=_AMOUNT, operator=Filter.Operator.GREATER, value="200")],
        )


def _subscription(name: str, endpoint: Endpoint, queue: Queue) -> Subscription:
    return Subscription(subscriber=endpoint.subscriber, name=name, endpoint=endpoint, queue=queue)


def _parameter(name: str, value: str, *, source: str = "token", placement: str = "body") -> Parameter:
    return Parameter(name=name, value=value, source=source, placement=placement)
