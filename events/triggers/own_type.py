"""Make an event type for a rule of one's own: its tokens are those of the object and of what it belongs to."""

from django.core.exceptions import ValidationError

from events import catalog, catalog_cache, kinds
from events.catalog.accounts import CONTRACT
from events.catalog.groups import ACCOUNT, CONTACT, CORE, PACKAGE, SERVICE
from events.catalog.invoices import INVOICE
from events.catalog.types import EventTypeSpec, Group, TokenSpec
from events.catalog.usage import BUCKET, SIM
from events.models import EventType, Operation, Queue, Route, Token

GROUPS: dict[str, Group] = {
    each.name: each for each in (ACCOUNT, PACKAGE, SERVICE, INVOICE, BUCKET, SIM, CONTRACT)
}
# What a change of these tells beside the object itself.
_LIKE = {"service": "service.state_transitioned", "account": "account.status_changed"}


def make(code: str, label: str, kind: str) -> EventType:
    """Create the event type with its tokens, schema and sample, flowing into every in-order queue.

    Raises ValidationError by field, as `draft` does.
    """
    row, spec = draft(code, label, kind)
    row.save()
    Token.objects.bulk_create(_token(row, each) for each in spec.tokens)
    Route.objects.bulk_create(
        Route(queue=queue, event_type=row) for queue in Queue.objects.filter(is_ordered=True)
    )
    catalog_cache.clear()
    return row


def draft(code: str, label: str, kind: str) -> tuple[EventType, EventTypeSpec]:
    """Return the event type, not saved, and what it is made of; raise ValidationError by field."""
    if EventType.objects.filter(code=code).exists():
        raise ValidationError({"new_code": f"There is an event type {code} already; choose it as the event."})
    known = kinds.read()
    chain = [kind, *(above for above, _ in known[kind].above)] if kind in known else []
    groups = [GROUPS[each] for each in reversed(chain) if each in GROUPS]
    has_account = ACCOUNT in groups
    spec = EventTypeSpec(
        code=code,
        label=label,
        description="Published by a trigger of this installation.",
        operation="update",
        category="custom",
        groups=(CORE, *groups, *((CONTACT,) if has_account else ())),
        own=_own(kind),
        source="object_change",
        ordering_prefix="account" if has_account else "event",
    )
    row = EventType(
        code=code,
        label=label,
        description=spec.description,
        resource=kind or "event",
        operation=Operation.UPDATE,
        category=spec.category,
        ordering_prefix="account" if has_account else "",
        ordering_path="account.id" if has_account else "",
        sample=catalog.sample(spec),
        schema=catalog.schema(spec) if has_account else {},
    )
    try:
        row.full_clean()
    except ValidationError as error:
        names = {"code": "new_code", "label": "new_label"}
        raise ValidationError(
            {names.get(name, name): told for name, told in error.message_dict.items()}
        ) from None
    return row, spec


def _own(kind: str) -> tuple[TokenSpec, ...]:
    return catalog.BY_CODE[_LIKE[kind]].own if kind in _LIKE else ()


def _token(row: EventType, spec: TokenSpec) -> Token:
    return Token(
        event_type=row,
        name=spec.name,
        group=spec.group,
        kind=spec.kind.value,
        description=spec.description,
        sample=spec.sample,
        email_only=spec.email_only,
    )
