"""System checks of what a host project follows."""

import difflib
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register

from . import tracking


@register(Tags.models)
def check_tracked_models(**_: Any) -> Iterator[CheckMessage]:
    """E001: a model that is to be followed does not exist."""
    labels = [model._meta.label for model in apps.get_models()]
    for name, kind in tracking.awaited.items():
        near = difflib.get_close_matches(name, labels, n=1)
        yield Error(
            f"events.track({name!r}, as_={kind!r}): there is no such model, so none of its changes is seen.",
            hint=f"Did you mean {near[0]!r}?" if near else "Write app_label.Model of an installed app.",
            id="events.E001",
        )
