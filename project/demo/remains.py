"""What the demo leaves in a database, for whoever runs the product on it afterwards."""

from django.db.models import Q

from notifications.models import Endpoint

from .webhooks import ENDPOINTS


def are_here() -> bool:
    """Whether any of the demo's endpoints is there and in use."""
    places = (Q(base_url=base_url, path=path) for _, base_url, path in ENDPOINTS.values())
    return Endpoint.objects.filter(Q(*places, _connector=Q.OR), is_active=True).exists()


def advice(*, is_embedded: bool) -> str:
    """Return the line that says so, and how to start afresh."""
    afresh = (
        'stop, and delete var/ with what var/postgres points to: rm -rf "$(readlink -f var/postgres)" var'
        if is_embedded
        else "stop, and name an empty database in DATABASE_URL"
    )
    return (
        "This database holds the demo's configuration, whose receivers run only with --demo: deliveries to "
        f"them fail and are retried. To start afresh: {afresh}"
    )
