"""System checks of the installation as a whole: what the environment gave, and what the database promises."""

from collections.abc import Iterable, Sequence
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from smtpprofiles import proxy

_GENERATE = "`manage.py up` generates one under var/keys; elsewhere set it in the environment."


@register(Tags.security)
def check_keys(**_: Any) -> Iterable[CheckMessage]:
    """E001: no SECRET_KEY. E002: no SECRETS_KEYS. E003: one of them is no Fernet key."""
    try:
        secret = settings.SECRET_KEY
    except ImproperlyConfigured:
        secret = ""
    if not secret:
        yield Error("SECRET_KEY is missing.", hint=_GENERATE, id="project.E001")
    secrets_keys: list[str] = getattr(settings, "SECRETS_KEYS", [])
    if not secrets_keys:
        yield Error(
            "SECRETS_KEYS is missing: stored passwords and signing secrets cannot be read.",
            hint=_GENERATE,
            id="project.E002",
        )
    for number, key in enumerate(secrets_keys, 1):
        try:
            Fernet(key)
        except ValueError:
            yield Error(
                f"Entry {number} of SECRETS_KEYS is not a Fernet key.",
                hint="A Fernet key is 32 random bytes in URL-safe base64: 44 characters.",
                id="project.E003",
            )


@register(Tags.security)
def check_outbound(**_: Any) -> Iterable[CheckMessage]:
    """E004: OUTBOUND_CONNECT_TO leads webhooks to other hosts than their URLs name, outside development."""
    stated = settings.DEBUG or getattr(settings, "OUTBOUND_CONNECT_TO_ALLOWED", False)
    if getattr(settings, "OUTBOUND_CONNECT_TO", None) and not stated:
        yield Error(
            "OUTBOUND_CONNECT_TO is set while DEBUG is off.",
            hint="It is for development and tests. Unset it, or set OUTBOUND_CONNECT_TO_ALLOWED=1.",
            id="project.E004",
        )


@register(Tags.security)
def check_proxy(**_: Any) -> Iterable[CheckMessage]:
    """E007: OUTBOUND_PROXY is no proxy that callouts could leave through."""
    try:
        proxy.parse(getattr(settings, "OUTBOUND_PROXY", ""))
    except ImproperlyConfigured as error:
        yield Error(str(error), hint="Only plain HTTP proxies with CONNECT are used.", id="project.E007")


@register(Tags.compatibility)
def check_pool(**_: Any) -> Iterable[CheckMessage]:
    """E005: a connection pool, which does not survive the forks of django-q2."""
    for alias, entry in settings.DATABASES.items():
        options = entry.get("OPTIONS") or {}
        if options.get("pool"):
            yield Error(
                f"DATABASES[{alias!r}] has the option `pool`: pools do not survive the forks of the cluster.",
                hint="Remove it from DATABASE_URL; each process keeps one connection.",
                id="project.E005",
            )


@register(Tags.database)
def check_durability(*, databases: Sequence[str] | None, **_: Any) -> Iterable[CheckMessage]:
    """E006: a database that may forget what it has confirmed."""
    if getattr(settings, "DURABILITY_NOT_NEEDED", False):
        return
    for alias in databases or ():
        with connections[alias].cursor() as cursor:
            for name in ("fsync", "synchronous_commit"):
                cursor.execute("SELECT current_setting(%s)", [name])
                if cursor.fetchone() == ("off",):
                    yield Error(
                        f"PostgreSQL runs with {name} = off: a power cut loses accepted events.",
                        hint=f"Set {name} = on in PostgreSQL's configuration.",
                        id="project.E006",
                    )
