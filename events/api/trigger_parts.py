"""How a trigger looks from outside, and its validation, which is the console's."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from rest_framework import serializers

from events.models import (
    EventType,
    Trigger,
    TriggerCancellation,
    TriggerCondition,
    TriggerField,
    TriggerPlan,
    TriggerThreshold,
)
from events.triggers import edit, validate
from events.triggers.conditions import Condition, Operator
from events.triggers.rules import Rule, of
from events.triggers.summary import sentence
from events.triggers.thresholds import Measure

from .base import ModelSerializer, Strict


def _part(
    of_model: type[Any], *names: str, event_type: bool = False
) -> type[serializers.ModelSerializer[Any]]:
    """Return the serializer of one kind of a trigger's rows."""

    class Meta:
        model = of_model
        fields = list(names)
        validators: list[object] = []

    members: dict[str, Any] = {"Meta": Meta, "__doc__": of_model.__doc__}
    if event_type:
        members["event_type"] = serializers.SlugRelatedField("code", queryset=EventType.objects.all())
    return type(f"{of_model.__name__}Serializer", (Strict, serializers.ModelSerializer), members)


PARTS: Mapping[str, tuple[type[Any], type[serializers.ModelSerializer[Any]]]] = {
    "conditions": (TriggerCondition, _part(TriggerCondition, "field", "operator", "value", "value_to")),
    "thresholds": (TriggerThreshold, _part(TriggerThreshold, "threshold")),
    "plans": (TriggerPlan, _part(TriggerPlan, "plan", "idle_days")),
    "cancellations": (
        TriggerCancellation,
        _part(TriggerCancellation, "event_type", "own_path", "other_path", event_type=True),
    ),
    "fields": (TriggerField, _part(TriggerField, "path", "source", "value")),
}
# The serializer's own `fields` has the name already.
_NAMES = {"payload": "fields"}
# What tells the rows of a list apart.
_ONCE = {"thresholds": "threshold", "plans": "plan", "cancellations": "event_type", "payload": "path"}


class TriggerSerializer(ModelSerializer):
    """A trigger; a list of parts that is given replaces the whole list. Switched on and off by its own calls."""

    nested: ClassVar[frozenset[str]] = frozenset(
        {"conditions", "thresholds", "plans", "cancellations", "payload"}
    )

    event_type = serializers.SlugRelatedField("code", queryset=EventType.objects.all())
    recovery_type = serializers.SlugRelatedField(
        "code", queryset=EventType.objects.all(), required=False, allow_null=True
    )
    anchor = serializers.SlugRelatedField(
        "code", queryset=EventType.objects.all(), required=False, allow_null=True
    )
    conditions = PARTS["conditions"][1](many=True, required=False)
    thresholds = PARTS["thresholds"][1](many=True, required=False)
    plans = PARTS["plans"][1](many=True, required=False)
    cancellations = PARTS["cancellations"][1](many=True, required=False)
    payload = PARTS["fields"][1](many=True, required=False, source="fields")
    rule = serializers.SerializerMethodField(help_text="What it does, in a sentence.")

    class Meta:
        model = Trigger
        fields = [
            "id", "name", "description", "rule", "source", "object_kind", "on_create", "on_update", "on_delete",
            "match_all", "once", "period_path", "value_path", "size_path", "tiers_path", "is_below",
            "highest_only", "anchor", "date_path", "offset_days", "at_time", "timezone", "activity",
            "idle_days", "days_path", "plan_path", "event_type", "recovery_type", "position", "is_active",
            "active_since", "builtin", "is_edited", "conditions", "thresholds", "plans", "cancellations",
            "payload",
        ]  # fmt: skip
        read_only_fields = ["is_active", "active_since", "builtin", "is_edited"]
        validators: list[object] = []

    def get_rule(self, trigger: Trigger) -> str:
        """Return what it does."""
        return sentence(of(trigger))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the rule with all of its parts, those given now and those that stay."""
        # The payload's rows are called `fields` on the model.
        if "fields" in attrs:
            attrs["payload"] = attrs.pop("fields")
        return super().validate(attrs)

    def vet(self, instance: Trigger, attrs: dict[str, Any]) -> None:
        """Refuse what could not work, by field."""
        faults: dict[str, Any] = dict(validate.check_row(instance))
        rows = {name: self._rows(instance, name, attrs) for name in self.nested}
        for at, row in enumerate(rows["conditions"]):
            given = Condition(
                field=row.field, operator=Operator(row.operator), value=row.value, value_to=row.value_to
            )
            if found := validate.check_condition(instance, given):
                faults.setdefault("conditions", {})[at] = found
        for name, member in _ONCE.items():
            given_once = [getattr(row, member) for row in rows[name]]
            if twice := {at for at, value in enumerate(given_once) if value in given_once[:at]}:
                faults[name] = {at: {member: "It is there already; give it once."} for at in twice}
        if told := validate.check_thresholds(instance, rows["thresholds"]):
            faults["thresholds"] = told
        if not faults:
            fields = {row.path: (row.source, row.value) for row in rows["payload"]}
            measure = Measure(value_path="", thresholds=())
            rule = Rule(row=instance, conditions=(), measure=measure, fields=fields, plans={})
            if told := validate.check_payload(rule):
                faults["payload"] = told
        if faults:
            raise serializers.ValidationError(faults)

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Trigger:
        """Save the trigger and its parts, or nothing; it is off."""
        parts = self._take_parts(validated_data)
        trigger: Trigger = super().create(validated_data)
        return self._replace(trigger, parts)

    @transaction.atomic
    def update(self, instance: Any, validated_data: dict[str, Any]) -> Trigger:
        """Save what is given; what waits in the calendar follows."""
        parts = self._take_parts(validated_data)
        for name, value in validated_data.items():
            setattr(instance, name, value)
        edit.before_save(instance)
        instance.save()
        return self._replace(instance, parts)

    def _rows(self, instance: Trigger, name: str, attrs: dict[str, Any]) -> list[Any]:
        related = _NAMES.get(name, name)
        if name in attrs:
            return [PARTS[related][0](**row) for row in attrs[name]]
        return list(getattr(instance, related).all()) if instance.pk else []

    def _take_parts(self, validated_data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        return {name: validated_data.pop(name) for name in self.nested if name in validated_data}

    def _replace(self, trigger: Trigger, parts: dict[str, list[dict[str, Any]]]) -> Trigger:
        for name, rows in parts.items():
            related = _NAMES.get(name, name)
            getattr(trigger, related).all().delete()
            for row in rows:
                PARTS[related][0](trigger=trigger, **row).save()
        # What was prefetched for reading is no longer so.
        trigger._prefetched_objects_cache = {}  # type: ignore[attr-defined]
        edit.after_save(trigger)
        return trigger
