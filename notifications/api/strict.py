"""Bodies of actions: members that are not known are refused."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class Strict(serializers.Serializer[Any]):
    """Refuses members that it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the members; an unknown one is an error under its name."""
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            legal = ", ".join(self.fields)
            raise serializers.ValidationError(dict.fromkeys(unknown, f"Unknown member; there are: {legal}."))
        return super().to_internal_value(data)
