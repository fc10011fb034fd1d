"""What a callout of a subscription would be, without sending it: its body, headers and query."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils import timezone

from events import ids

from . import envelope, liquid, rendering
from .fetch import Claimed
from .models import Parameter
from .parameters import Given, Pairs, ParameterFault, given, marker
from .transports.base import MASK


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a subscription says of its callouts, saved or not."""

    queue: str
    payload_template: str
    parameters: tuple[Given, ...]

    @classmethod
    def of(cls, queue: str, payload_template: str, parameters: Iterable[Parameter]) -> "Draft":
        """Return it without the text of secrets, which no preview shows."""
        rows = given(parameters, with_secrets=False)
        return cls(queue=queue, payload_template=payload_template, parameters=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would be sent, secrets masked."""

    body: str
    headers: Pairs  # its own: the callout's standard ones come beside them
    query: Pairs


def preview(draft: Draft, claimed: Claimed) -> Preview:
    """Return the callout of a delivery. Raises a ValidationError at `payload_template` or `parameters`."""
    context = rendering.tokens(claimed, now=timezone.now())
    try:
        body, headers, query = envelope.compose(claimed, draft, context)
    except ParameterFault as fault:
        raise ValidationError({"parameters": str(fault)}) from fault
    except liquid.TemplateFault as fault:
        raise ValidationError(
            {"payload_template" if draft.payload_template else "parameters": str(fault)}
        ) from fault
    order = envelope.order_headers(claimed) if claimed.lane_id is not None else ()
    for parameter in draft.parameters:
        if parameter.is_secret:
            mark = marker(parameter.name, ids.public("dlv", claimed.uid))
            body = body.replace(mark, MASK)
            headers, query = _masked(headers, mark), _masked(query, mark)
    return Preview(body=body, headers=(*order, *headers), query=query)


def _masked(pairs: Pairs, mark: str) -> Pairs:
    return tuple((name, value.replace(mark, MASK)) for name, value in pairs)
