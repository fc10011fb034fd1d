"""Payload templates: the whole JSON body of a callout, for receivers that dictate its shape.

They see the tokens, `parameters.NAME` of the parameters placed in the body, and `data`: the payload, which goes
in byte for byte. What comes out is parsed before it is saved and before it is sent.
"""

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from django.core.exceptions import ValidationError

from . import liquid
from .data_source import DataSource, complete
from .liquid_json import Exact
from .tokens import Offer, refuse_illegal

DATA, PARAMETERS, DIGEST = "data", "parameters", "digest"
# What they see of a digest, with a sample; of a single event nothing.
DIGESTS: Mapping[str, Any] = {
    "id": "dlv_019aabcd5e707c118d3e2f4a5b6c7d8e",
    "subject": "4,990 more: Dormant SIM",
    "count": 4990,
    "sent_singly": 10,
    "subscription": "Dormant SIMs",
    "from": "2026-11-22T06:00:04Z",
    "until": "2026-11-22T07:00:04Z",
    "all": "https://bellwether.example.com/api/v1/deliveries/?digest=dlv_…",
}
# Two texts that no filter makes the same of.
SECRET, _OTHER_SECRET = "a secret text", "Quite Another One"
_AROUND = 30  # characters shown before and after what is wrong


def render(
    template: str,
    context: Mapping[str, Any],
    source: DataSource,
    *,
    data: str,
    parameters: Mapping[str, Any],
) -> str:
    """Return the body. Raises liquid.TemplateFault where it cannot be written, or is not JSON."""
    own: dict[str, Any] = {
        **complete(dict(context), tokens(template), source),
        PARAMETERS: dict(parameters),
        DATA: Exact(json.loads(data, parse_float=Decimal), data),
    }
    body = liquid.render(template, own, kind="json")
    _parse(body)
    return body


def tokens(template: str) -> set[str]:
    """Return the event's tokens that a template names, also those that it names as part of `data`."""
    return {
        name.removeprefix(f"{DATA}.")
        for name in liquid.names(template)
        if name != DATA and name.partition(".")[0] not in (PARAMETERS, DIGEST)
    }


def digest_names(template: str) -> set[str]:
    """Return what a template names of digests; one that names nothing of them is for single events only."""
    return {name for name in liquid.names(template) if name.partition(".")[0] == DIGEST}


def check(
    template: str,
    offered: Offer,
    *,
    parameters: Mapping[str, str] | None = None,
    secrets: Collection[str] = (),
) -> None:
    """Raise a ValidationError for a template that breaks, names what it may not, or makes no JSON of a sample.

    `parameters` are those placed in the body, by name, each with a sample; None: they are checked elsewhere.
    `secrets` are the names of those that enter the callout only as it leaves, when no filter can see them.
    """
    liquid.check(template)
    refuse_illegal(tokens(template), offered)
    used = {name.partition(".")[2] for name in liquid.names(template) if name.partition(".")[0] == PARAMETERS}
    if parameters is not None:
        _check_parameters(template, parameters)
    _check_digest(template, {**dict.fromkeys(used, "1"), **(parameters or {})})
    for event_type in offered.event_types:
        sample = json.dumps(event_type.sample, ensure_ascii=False)
        context = {**event_type.sample, **sample_core(offered, event_type.code)}
        # Where nothing is known of them: right inside quotes, and alone.
        samples = {**dict.fromkeys(used, "1"), **(parameters or {}), **dict.fromkeys(secrets, SECRET)}
        others = {**samples, **dict.fromkeys(secrets, _OTHER_SECRET)}
        try:
            body = render(template, context, DataSource({}, ""), data=sample, parameters=samples)
            if used.intersection(secrets):
                other = render(template, context, DataSource({}, ""), data=sample, parameters=others)
                if body.replace(SECRET, "") != other.replace(_OTHER_SECRET, ""):
                    raise liquid.TemplateFault(
                        "a secret parameter enters as the callout leaves, so that no filter or condition sees it. "
                        "Write it as it is: {{ parameters.NAME }} in quotes, or {{ parameters.NAME | json }}."
                    )
        except liquid.TemplateFault as fault:
            raise ValidationError(
                f"With the sample payload of {event_type.code}: {fault}", code="liquid"
            ) from fault


def _check_digest(template: str, parameters: Mapping[str, str]) -> None:
    """Raise a ValidationError for a template that names what digests have not, or makes no JSON of one."""
    named = digest_names(template)
    if unknown := sorted(named - {f"{DIGEST}.{each}" for each in DIGESTS}):
        known = ", ".join(f"{DIGEST}.{each}" for each in DIGESTS)
        raise ValidationError(f"The payload template names “{unknown[0]}”. Of a digest there are: {known}.")
    if named:
        context = {DIGEST: dict(DIGESTS), "event": {"type": "digest", "label": "Digest"}}
        try:
            render(template, context, DataSource({}, ""), data="{}", parameters=parameters)
        except liquid.TemplateFault as fault:
            raise ValidationError(f"With a sample digest: {fault}", code="liquid") from fault


def _check_parameters(template: str, names: Collection[str]) -> None:
    """Raise a ValidationError for a parameter that a template names and the body does not have."""
    for name in sorted(liquid.names(template)):
        group, _, parameter = name.partition(".")
        if group == PARAMETERS and parameter not in names:
            known = ", ".join(f"parameters.{each}" for each in sorted(names)) or "none yet"
            raise ValidationError(
                f"The payload template names “{name}”. The parameters placed in the body: {known}."
            )


def sample_core(offered: Offer, code: str) -> dict[str, dict[str, Any]]:
    """Return sample values of the tokens that the product itself supplies."""
    core: dict[str, dict[str, Any]] = {}
    for name, token in offered.by_type[code].items():
        group, _, rest = name.partition(".")
        if group in ("event", "owner", "now"):
            core.setdefault(group, {})[rest] = (
                int(token.sample) if token.kind == "integer" and token.sample else token.sample
            )
    return core


def _parse(body: str) -> None:
    try:
        found = json.loads(body, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        start = max(0, error.pos - _AROUND)
        near = " ".join(body[start : error.pos + _AROUND].split())
        raise liquid.TemplateFault(
            f"it makes no JSON: {error.msg} at line {error.lineno}, column {error.colno} of the body, near “{near}”. "
            "Put text values in quotes, or write them with “| json”."
        ) from error
    except RecursionError as error:
        raise liquid.TemplateFault("it makes JSON that is nested too deeply.") from error
    if not isinstance(found, dict | list):
        raise liquid.TemplateFault("the body is one JSON object or list: begin it with { or [.")


def _refuse_constant(text: str) -> NoReturn:
    raise liquid.TemplateFault(f"it makes no JSON: {text} is no JSON number. Give it a default.")
