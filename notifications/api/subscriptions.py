"""Managing subscriptions, with their filters, recipients and parameters."""

from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models, transaction
from rest_framework import serializers

from events.api.base import ConfigViewSet, ModelSerializer
from events.models import EventType, Queue
from notifications import repoint, vet
from notifications.models import Filter, Parameter, Recipient, Subscription
from notifications.models.subscription import STORM_FAULTS


class _PartSerializer(ModelSerializer):
    def unclean(self) -> set[str]:
        # The subscription may not be saved yet.
        return {"subscription"}


class FilterSerializer(_PartSerializer):
    """A condition on the payload."""

    class Meta:
        model = Filter
        fields = ["token", "operator", "value"]
        validators: list[object] = []


class RecipientSerializer(_PartSerializer):
    """Exactly one of: a user (by name), a group (by name), an address, a token that holds one."""

    user = serializers.SlugRelatedField(
        get_user_model().USERNAME_FIELD,
        queryset=get_user_model().objects.all(),
        required=False,
        allow_null=True,
    )
    group = serializers.SlugRelatedField(
        "name", queryset=Group.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Recipient
        fields = ["user", "group", "address", "token"]
        validators: list[object] = []


class ParameterSerializer(_PartSerializer):
    """A name/value pair added to the callout; the value of a secret is written and never read."""

    class Meta:
        model = Parameter
        fields = ["name", "source", "value", "is_secret", "placement", "if_missing", "default_value"]
        validators: list[object] = []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Keep the secret of the same name where none is given."""
        subscription, value = self.root.instance, attrs.get("value", "")
        if not attrs.get("is_secret"):
            return super().validate(attrs)
        if not value and isinstance(subscription, Subscription):
            stored = subscription.parameters.filter(name=attrs.get("name"), is_secret=True).first()
            value = stored.secret if stored else ""
        # The model moves it to where it is encrypted; from the value that is answered it is gone.
        checked: dict[str, Any] = super().validate(attrs | {"value": value})
        return checked | {"secret": value}


_PARTS: dict[str, type[models.Model]] = {
    "filters": Filter,
    "recipients": Recipient,
    "parameters": Parameter,
}


class SubscriptionSerializer(ModelSerializer):
    """A subscription; a list of parts that is given replaces the whole list."""

    nested: ClassVar[frozenset[str]] = frozenset(_PARTS)

    queue = serializers.SlugRelatedField("name", queryset=Queue.objects.all())
    event_types = serializers.SlugRelatedField(
        "code", many=True, required=False, queryset=EventType.objects.all()
    )
    filters = FilterSerializer(many=True, required=False)
    recipients = RecipientSerializer(many=True, required=False)
    parameters = ParameterSerializer(many=True, required=False)

    class Meta:
        model = Subscription
        fields = [
            "id",
            "subscriber",
            "name",
            "queue",
            "event_types",
            "on_create",
            "on_update",
            "on_delete",
            "endpoint",
            "email_template",
            "profile",
            "allows_opt_out",
            "payload_template",
            "on_failure",
            "retry_seconds",
            "storm_limit",
            "storm_minutes",
            "is_active",
            "is_paused",
            "filters",
            "recipients",
            "parameters",
            "created_at",
            "updated_at",
        ]
        validators: list[object] = []
        extra_kwargs = {
            name: {"error_messages": dict.fromkeys(("invalid", "null", "min_value", "max_value"), fault)}
            for name, fault in STORM_FAULTS.items()
        }

    def validate_parameters(self, parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A name is used once."""
        names = [parameter["name"] for parameter in parameters]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise serializers.ValidationError(f"Give each name once; given twice: {', '.join(twice)}.")
        return parameters

    def vet(self, instance: Subscription, attrs: dict[str, Any]) -> None:
        """Check it with all of its parts, those given now and those that stay."""
        saved = instance.pk is not None
        if saved:
            self._ask_again(instance, attrs)
        event_types = attrs.get("event_types", instance.event_types.all() if saved else ())
        parts: dict[str, list[Any]] = {
            name: [kind(**row) for row in attrs[name]]
            if name in attrs
            else list(getattr(instance, name).all() if saved else ())
            for name, kind in _PARTS.items()
        }
        vet.check_subscription(instance, event_types=event_types, **parts)

    def _ask_again(self, instance: Subscription, attrs: dict[str, Any]) -> None:
        given = self.initial_data.get("parameters") or []
        typed = {row.get("name") for row in given if row.get("value")}
        kept = repoint.kept_parameters(instance, typed)
        if "parameters" in attrs:
            kept = {row["name"]: kept[row["name"]] for row in attrs["parameters"] if row["name"] in kept}
        if kept:
            raise ValidationError({"parameters": [f"{name}: {told}" for name, told in kept.items()]})

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Subscription:
        """Save the subscription and its parts, or nothing."""
        parts = self._take_parts(validated_data)
        subscription: Subscription = super().create(validated_data)
        self._replace(subscription, parts)
        return subscription

    @transaction.atomic
    def update(self, instance: Any, validated_data: dict[str, Any]) -> Subscription:
        """Save what is given; the lists of parts that are given replace the old ones."""
        parts = self._take_parts(validated_data)
        subscription: Subscription = super().update(instance, validated_data)
        self._replace(subscription, parts)
        return subscription

    def _take_parts(self, validated_data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        return {name: validated_data.pop(name) for name in self.nested if name in validated_data}

    def _replace(self, subscription: Subscription, parts: dict[str, list[dict[str, Any]]]) -> None:
        for name, rows in parts.items():
            getattr(subscription, name).all().delete()
            for row in rows:
                _PARTS[name](subscription=subscription, **row).save()
        # What was prefetched for reading is no longer so.
        subscription._prefetched_objects_cache = {}  # type: ignore[attr-defined]


class SubscriptionViewSet(ConfigViewSet):
    """Subscriptions: which events of a queue become which notification, and for whom."""

    queryset = Subscription.objects.select_related("queue").prefetch_related(
        "event_types", "filters", "recipients__user", "recipients__group", "parameters"
    )
    serializer_class = SubscriptionSerializer
    filterset_fields = ["subscriber", "name", "queue__name", "endpoint", "is_active", "is_paused"]
