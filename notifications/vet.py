"""What a subscription must satisfy before it is saved, the same in the console and the API.

Every function raises a ValidationError that names the field, what is wrong and what would be right.
"""

from collections.abc import Callable, Iterable

from django.core.exceptions import ValidationError

from events.models import EventType, Token

from .assemble import letter_of, used_names
from .models import Filter, Parameter, Recipient, Subscription
from .tokens import Offer, offer, refusal
from .vet_callout import check_parameter, check_parameters, check_payload_template
from .vet_source import OF_MAILS, check_token


def concerned(subscription: Subscription, event_types: Iterable[EventType]) -> list[EventType]:
    """Return the event types that a subscription gets: those chosen, else all that flow into its queue.

    Only those whose operation it wants. `event_types` are the chosen ones, saved or not yet.
    """
    chosen = list(event_types) or list(EventType.objects.filter(routes__queue=subscription.queue_id))
    return [each for each in chosen if each.operation in subscription.operations]


def offer_to(subscription: Subscription, event_types: Iterable[EventType]) -> Offer:
    """Return the tokens that a subscription may use in its parameters, filters and recipients."""
    types = concerned(subscription, event_types)
    return offer(types, medium="email" if subscription.email_template_id else "webhook")


def check_filter(row: Filter, offered: Offer) -> None:
    """Refuse a token that is illegal, or that is not in the payload: filters see nothing else."""
    check_token(row.token, offered, field="token", in_payload=True)


def check_recipient(recipient: Recipient, offered: Offer) -> None:
    """Refuse an address token that is illegal, or that cannot hold an address."""
    if not recipient.token:
        return
    token = check_token(recipient.token, offered, field="token", in_payload=True)
    if token.kind != Token.Kind.STRING:
        raise ValidationError(
            {"token": f"“{recipient.token}” holds no text; name one such as contact.email."}
        )


def check_subscription(
    subscription: Subscription,
    *,
    event_types: Iterable[EventType],
    parameters: Iterable[Parameter] = (),
    filters: Iterable[Filter] = (),
    recipients: Iterable[Recipient] = (),
) -> None:
    """Check a subscription with all of its parts, saved or not. Raises a ValidationError by field.

    The fields are those of the subscription and `parameters`, `filters`, `recipients`.
    """
    check_destination(subscription)
    offered = offer_to(subscription, event_types)
    faults: dict[str, list[str]] = {}

    def attempt(field: str, what: str, check: Callable[..., None], *arguments: object) -> None:
        try:
            check(*arguments)
        except ValidationError as error:
            faults.setdefault(field, []).extend(f"{what}{text}" for text in error.messages)

    given = list(parameters), list(filters), list(recipients)
    attempt("email_template", "", check_template_of, subscription, offered)
    attempt("payload_template", "", check_payload_template, subscription, offered, given[0])
    attempt("parameters", "", check_parameters, subscription, given[0])
    attempt("recipients", "", check_medium_of_recipients, subscription, len(given[2]))
    for parameter in given[0]:
        attempt("parameters", f"{parameter.name}: ", check_parameter, parameter, offered)
    for row in given[1]:
        attempt("filters", "", check_filter, row, offered)
    for recipient in given[2]:
        attempt("recipients", "", check_recipient, recipient, offered)
    if faults:
        raise ValidationError(faults)


def check_destination(subscription: Subscription) -> None:
    """Exactly one of endpoint and email template, each fault at the field that mends it."""
    endpoint, template = subscription.endpoint_id, subscription.email_template_id
    if endpoint and template:
        raise ValidationError(
            {
                "email_template": "An endpoint is chosen too. Choose one of them: an endpoint for a webhook, "
                "an email template for email. Make a second subscription for the other."
            }
        )
    if not endpoint and not template:
        raise ValidationError(
            {"endpoint": "Choose an endpoint to call (webhook), or below an email template to send (email)."}
        )
    if endpoint and subscription.allows_opt_out:
        raise ValidationError({"allows_opt_out": "Untick this: only recipients of email can opt out."})
    if endpoint and subscription.profile_id:
        raise ValidationError({"profile": "Leave this empty: an SMTP profile is for email only."})
    if not subscription.operations:
        raise ValidationError({"on_create": "Choose at least one of create, update and delete."})


def check_medium_of_recipients(subscription: Subscription, count: int) -> None:
    """An email needs recipients, a webhook has none."""
    if subscription.email_template_id and not count:
        raise ValidationError(
            "Add at least one recipient: a user, a group, an address, or a token that holds one."
        )
    if subscription.endpoint_id and count:
        raise ValidationError("Recipients are for email only. Remove them: a webhook goes to its endpoint.")


def check_template_of(subscription: Subscription, offered: Offer) -> None:
    """Refuse a template that uses tokens which the subscription's event types do not all offer."""
    template = subscription.email_template
    if template is None:
        return
    used = used_names(letter_of(template)) - OF_MAILS.keys()
    illegal = sorted(name for name in used if offered.find(name) is None)
    if illegal:
        raise ValidationError(
            [f"The template “{template}” does not fit: {refusal(name, offered)}" for name in illegal]
        )
