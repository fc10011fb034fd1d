"""How a billing object looks from outside."""

from typing import Any

import msgspec
from rest_framework import serializers

from events import exact
from events.models import Activity, BillingObject
from events.objects import Reported


def brief(outcome: Reported) -> dict[str, Any]:
    """Return what a report came to; `operation` null: nothing was new."""
    row, change = outcome.object, outcome.change
    return {
        "kind": row.kind,
        "id": row.external_id,
        "operation": None if change is None else str(change.operation),
        "version": row.version,
        "deleted": row.deleted_at is not None,
        "reported_at": row.reported_at,
    }


def reported(outcome: Reported) -> dict[str, Any]:
    """Return what a report came to, with the state as it is known now."""
    return brief(outcome) | {"state": _state(outcome.object)}


def full(row: BillingObject) -> dict[str, Any]:
    """Return an object as it was last reported."""
    return {
        "kind": row.kind,
        "id": row.external_id,
        "parent": None if row.parent is None else {"kind": row.parent.kind, "id": row.parent.external_id},
        "version": row.version,
        "deleted": row.deleted_at is not None,
        "reported_at": row.reported_at,
        "deleted_at": row.deleted_at,
        "state": _state(row),
    }


def _state(row: BillingObject) -> msgspec.Raw:
    # Numbers are numbers here, which the answer's own encoder would write as text.
    return msgspec.Raw(exact.dumps(row.state).encode())


class ReportSerializer(serializers.Serializer[Any]):
    """The state of an object (for the documentation: `object_body.read` is what reads it)."""

    state = serializers.DictField(help_text="Its fields. Parents as {kind}.id, such as account.id.")
    version = serializers.IntegerField(required=False, help_text="A lower one than known is refused: 409.")
    occurred_at = serializers.DateTimeField(required=False, help_text="When it changed. Default: now.")
    parents = serializers.DictField(
        child=serializers.CharField(allow_null=True),
        required=False,
        help_text="Ids of its parents by kind, where the state does not hold them; null: has none any more.",
    )


class BatchItemSerializer(ReportSerializer):
    """One report of a batch."""

    kind = serializers.CharField()
    id = serializers.CharField()
    state = serializers.DictField(required=False, help_text="Its fields; left out with `deleted`.")
    partial = serializers.BooleanField(  # type: ignore[assignment]
        required=False, help_text="The state is a JSON merge patch."
    )
    deleted = serializers.BooleanField(required=False, help_text="It is no more.")


class ObjectBatchSerializer(serializers.Serializer[Any]):
    """Up to 1,000 reports."""

    objects = BatchItemSerializer(many=True)


class ObjectBriefSerializer(serializers.Serializer[Any]):
    """What a report came to."""

    kind = serializers.CharField()
    id = serializers.CharField()
    operation = serializers.ChoiceField(
        ["create", "update", "delete"], allow_null=True, help_text="Null: nothing was new."
    )
    version = serializers.IntegerField(allow_null=True)
    deleted = serializers.BooleanField()
    reported_at = serializers.DateTimeField(allow_null=True)


class ReportedSerializer(ObjectBriefSerializer):
    """What a report came to, with the state as it is known now."""

    state = serializers.DictField()


class ObjectResultSerializer(serializers.Serializer[Any]):
    """What came of one report of a batch."""

    status = serializers.IntegerField()
    object = ObjectBriefSerializer(required=False)
    problem = serializers.DictField(required=False)


class ObjectBatchResultSerializer(serializers.Serializer[Any]):
    """What came of a batch."""

    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = ObjectResultSerializer(many=True)


class ParentSerializer(serializers.Serializer[Any]):
    """The object it belongs to."""

    kind = serializers.CharField()
    id = serializers.CharField()


class ObjectSerializer(serializers.Serializer[BillingObject]):
    """An object as it was last reported."""

    kind = serializers.CharField()
    id = serializers.CharField()
    parent = ParentSerializer(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    deleted = serializers.BooleanField()
    reported_at = serializers.DateTimeField(allow_null=True, help_text="Null: only named by others so far.")
    deleted_at = serializers.DateTimeField(allow_null=True)
    state = serializers.DictField()

    def to_representation(self, instance: BillingObject) -> dict[str, Any]:
        """Return `full(row)`."""
        return full(instance)


class ActivityRowSerializer(serializers.Serializer[Any]):
    """One object was active."""

    id = serializers.CharField()
    at = serializers.DateTimeField(required=False, help_text="Default: now.")
    kind = serializers.CharField(required=False, help_text="Default: sim.")
    activity = serializers.ChoiceField(Activity.Kind.choices, required=False, help_text="Default: usage.")


class ActivitySerializer(serializers.Serializer[Any]):
    """Up to 10,000 rows."""

    activity = ActivityRowSerializer(many=True)


class ActivityResultSerializer(serializers.Serializer[Any]):
    """What came of them."""

    received = serializers.IntegerField()
    moved = serializers.IntegerField(help_text="Of how many objects the last time moved forward.")
