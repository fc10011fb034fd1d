"""What a mail template must satisfy before it is saved, the same in the console and the API.

A template is checked as it is rendered: with its layout and partials, in each of its languages.
"""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from events.models import EventType

from . import liquid
from .assemble import PARTIAL, Partials, Words, letter_of
from .models import EmailLayout, EmailPartial, EmailTemplate, EmailVariant, Subscription
from .tokens import Offer, offer, refusal
from .vet import offer_to
from .vet_source import OF_MAILS, check_source

# The preheader is checked by itself before it is found in the HTML.
_FIELDS: tuple[tuple[str, liquid.Kind], ...] = (
    ("subject", "text"),
    ("preheader", "html"),
    ("html", "html"),
    ("text", "text"),
)


def check_template(
    template: EmailTemplate, *, event_types: Iterable[EventType], variants: list[EmailVariant]
) -> None:
    """Check a template, saved or not, against what all of its event types offer.

    One that is saved must also fit the subscriptions that use it. Raises a ValidationError by field;
    what is wrong with another language is at `variants`.
    """
    faults: dict[str, list[str]] = {}
    locales = [template.locale, *(variant.locale for variant in variants)]
    if twice := sorted({each for each in locales if locales.count(each) > 1}):
        faults["variants"] = [f"Give each locale once; given twice: {', '.join(twice)}."]
    try:
        letter = letter_of(template, variants=variants)
    except ValidationError as error:
        raise ValidationError(error.message_dict | faults) from None
    offered, users = offer(event_types, medium="email"), _users(template)
    for part, words in zip((template, *variants), letter.words, strict=True):
        for field, messages in _faults(words, offered, users, preheader=part.preheader).items():
            if part is template:
                faults.setdefault(field, []).extend(messages)
            else:
                prefix = f"{words.locale}, {field}: "
                faults.setdefault("variants", []).extend(prefix + text for text in messages)
    if faults:
        raise ValidationError(faults)


def variant_faults(
    template: EmailTemplate, variant: EmailVariant, event_types: Iterable[EventType]
) -> dict[str, list[str]]:
    """Return what is wrong with one other language of a template, by field."""
    try:
        words = letter_of(template, variants=[variant]).words[1]
    except ValidationError as error:
        return error.message_dict
    offered = offer(event_types, medium="email")
    return _faults(words, offered, _users(template), preheader=variant.preheader)


def check_layout(layout: EmailLayout) -> None:
    """Refuse a layout whose Liquid is at fault, or with which one of its templates would not work any more."""
    words = letter_of(EmailTemplate(text="-", html="<p>-</p>"), layout=layout, variants=[]).words[0]
    for field, source in (("html", words.html), ("text", words.text)):
        try:
            liquid.check(source)
        except ValidationError as error:
            raise ValidationError({field: error.messages}) from error
    if layout.pk:
        _try_templates(EmailTemplate.objects.filter(layout=layout), layout=layout)


def check_partial(partial: EmailPartial, *, is_deleted: bool = False) -> None:
    """Refuse a partial that names another, or without which, as it is, a template would not work any more."""
    for field in ("html", "text"):
        if PARTIAL.search(getattr(partial, field)):
            raise ValidationError({field: "A partial cannot put in another one. Write its text here."})
    rows = {pk: (name, html, text) for pk, name, html, text in _all_partials()}
    rows.pop(partial.pk or 0, None)
    given = () if is_deleted else ((partial.name, partial.html, partial.text),)
    _try_templates(EmailTemplate.objects.all(), partials=tuple(sorted((*rows.values(), *given))))


def _all_partials() -> QuerySet[EmailPartial, tuple[int, str, str, str]]:
    return EmailPartial.objects.values_list("pk", "name", "html", "text")


def _try_templates(
    templates: QuerySet[EmailTemplate], *, layout: EmailLayout | None = None, partials: Partials | None = None
) -> None:
    faults = []
    for template in templates.select_related("layout").prefetch_related("variants", "event_types"):
        offered, users = offer(template.event_types.all(), medium="email"), _users(template)
        try:
            for words in letter_of(template, layout=layout, partials=partials).words:
                for messages in _faults(words, offered, users).values():
                    faults += [f"The template “{template}” would not work: {text}" for text in messages]
        except ValidationError as error:
            faults += [f"The template “{template}” would not work: {text}" for text in error.messages]
    if faults:
        raise ValidationError(faults)


def _faults(
    words: Words, offered: Offer, users: list[tuple[Subscription, Offer]], *, preheader: str = ""
) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    for field, kind in _FIELDS:
        source = preheader if field == "preheader" else getattr(words, field)
        try:
            check_source(source, offered, kind=kind, for_mail_in=words.locale)
            for user, theirs in users:
                for name in sorted(liquid.names(source) - OF_MAILS.keys()):
                    if theirs.find(name) is None:
                        fault = f"The subscription “{user}” uses this template. {refusal(name, theirs)}"
                        faults.setdefault(field, []).append(fault)
        except ValidationError as error:
            faults.setdefault(field, []).extend(error.messages)
    # The preheader is part of the HTML, and a text may be made of it: a fault is told where it is mended.
    told: set[str] = set()
    for field, messages in list(faults.items()):
        faults[field] = [text for text in messages if text not in told]
        told.update(messages)
    return {field: messages for field, messages in faults.items() if messages}


def _users(template: EmailTemplate) -> list[tuple[Subscription, Offer]]:
    if template.pk is None:
        return []
    subscriptions = template.subscriptions.select_related("queue").prefetch_related("event_types")
    return [(each, offer_to(each, each.event_types.all())) for each in subscriptions]
