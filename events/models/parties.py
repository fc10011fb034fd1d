"""Who publishes and who subscribes: subscribers, their API keys and their grants."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .queues import Queue


class Scope(models.TextChoices):
    """What a key may do. Only publishing is narrowed by grants; the rest is for programs that operate the system."""

    EVENTS_CREATE = "events:create", "Publish events, into the queues granted to its subscriber"
    EVENTS_UPDATE = "events:update", "Amend, hold and reschedule events that wait, on the queues granted"
    EVENTS_DELETE = "events:delete", "Cancel events that wait, on the queues granted"
    EVENTS_READ = (
        "events:read",
        "Read the catalog, events, and the messages of queues; an operator's key: objects too",
    )
    OBJECTS_WRITE = "objects:write", "Report billing objects and their activity"
    CONFIG_READ = "config:read", "Read the configuration of every subscriber (an operator's key only)"
    CONFIG_WRITE = (
        "config:write",
        "Change the configuration, grants and keys included (an operator's key only)",
    )
    DELIVERIES_READ = "deliveries:read", "Read deliveries and statements"
    DELIVERIES_OPERATE = "deliveries:operate", "Retry, skip, cancel, hold, release and replay deliveries"


# What these reach belongs to every subscriber.
OPERATORS_SCOPES = frozenset({Scope.CONFIG_READ, Scope.CONFIG_WRITE})


class Subscriber(models.Model):
    """An external system or a team; owns API keys, grants, endpoints and subscriptions."""

    name = models.CharField(max_length=100, unique=True)
    contact_email = models.EmailField(blank=True, help_text="Told about failing endpoints.")
    notes = models.TextField(blank=True)
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive subscriber's keys are refused and it is told nothing."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Questions about keys."""

    def usable(self) -> "ApiKeyQuerySet":
        """Keys that are neither revoked nor expired, of active subscribers."""
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None, subscriber__is_active=True
        )


class ApiKey(models.Model):
    """A credential of the HTTP API; only its SHA-256 is stored."""

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, help_text="Where it is used, e.g. billing core.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=30, choices=Scope), help_text="What the key may do.")
    is_operator = models.BooleanField(
        "operator's key",
        default=False,
        db_default=False,
        help_text="Sees the events, deliveries and objects of every subscriber. "
        "Else it sees what its subscriber published and what its subscriptions got.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )
    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["subscriber", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values) & Q(scopes__len__gt=0),
                name="api_key_scopes_known",
                violation_error_message="Choose at least one scope.",
            ),
            models.CheckConstraint(
                condition=Q(is_operator=True) | ~Q(scopes__overlap=["config:read", "config:write"]),
                name="api_key_config_is_operators",
                violation_error_message="config:read and config:write reach every subscriber: "
                "make it an operator's key, or leave them out.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def clean(self) -> None:
        """What reaches every subscriber needs an operator's key."""
        if not self.is_operator and (wrong := sorted(OPERATORS_SCOPES.intersection(self.scopes or ()))):
            told = (
                f"{' and '.join(wrong)} reach every subscriber: make it an operator's key, or leave them out."
            )
            raise ValidationError({"is_operator": told})

    @property
    def is_authenticated(self) -> bool:
        """True: the principal of a request that carried this key."""
        return True

    def has_perm(self, _perm: str, _obj: Any = None) -> bool:
        """Keys hold scopes, not Django permissions."""
        return False


class Grant(models.Model):
    """What a subscriber may do with the entries of one queue."""

    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="grants")
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="grants")
    can_create = models.BooleanField("create", default=False, help_text="Publish events into the queue.")
    can_update = models.BooleanField(
        "update", default=False, help_text="Amend, hold, release or reschedule what is still waiting."
    )
    can_delete = models.BooleanField("delete", default=False, help_text="Cancel what is still waiting.")
    others_entries = models.BooleanField(
        "others' entries", default=False, help_text="Also entries that another subscriber published."
    )

    class Meta:
        ordering = ["subscriber", "queue"]
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "queue"], name="grant_once_per_queue"),
            models.CheckConstraint(
                condition=Q(can_create=True) | Q(can_update=True) | Q(can_delete=True),
                name="grant_of_something",
                violation_error_message="Grant at least one of create, update and delete.",
            ),
        ]

    def __str__(self) -> str:
        granted = [word for word in ("create", "update", "delete") if getattr(self, f"can_{word}")]
        return f"{self.subscriber}: {', '.join(granted)} on {self.queue}"
