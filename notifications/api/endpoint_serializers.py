"""Endpoints as the API reads and writes them: secrets go in, and none comes out."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import transaction
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.api.base import ModelSerializer, Strict
from notifications import authentication, diagnose, repoint
from notifications.diagnose import State
from notifications.models import Endpoint, EndpointHeader


class HeaderSerializer(Strict):
    """A header of every callout; the value of a secret one is taken, and never given."""

    name = serializers.CharField(max_length=100)
    value = serializers.CharField(
        max_length=2000,
        required=False,
        allow_blank=True,
        help_text="Empty in answers where it is secret. Left out for a secret one of a known name, it stays.",
    )
    is_secret = serializers.BooleanField(default=False)


class EndpointSerializer(ModelSerializer):
    """A webhook receiver; its signing secret is shown once, in the answer that creates it."""

    nested: ClassVar[frozenset[str]] = frozenset({"headers"})

    url = serializers.CharField(read_only=True, help_text="Base URL and path, joined: what is called.")
    headers = HeaderSerializer(
        many=True,
        required=False,
        help_text="Added to every callout. A list that is given replaces the whole list.",
    )
    state = serializers.SerializerMethodField(
        help_text="failing: it failed again and again, and gets one probe at a time."
    )
    warnings = serializers.SerializerMethodField(
        help_text="In the answer to a change of a URL: what the address guard would refuse now, with the remedy."
    )

    class Meta:
        model = Endpoint
        fields = [
            "id",
            "subscriber",
            "name",
            "base_url",
            "path",
            "url",
            "signs_ed25519",
            "public_key",
            "authorization",
            *(name for names in authentication.FIELDS.values() for name in names),
            "credentials_in",
            "api_key_header",
            "api_key",
            "headers",
            "ca_certificate",
            "client_certificate",
            "client_key",
            "timeout_seconds",
            "max_in_flight",
            "rate_per_minute",
            "state",
            "is_active",
            "paused_reason",
            "warnings",
            "created_at",
            "updated_at",
        ]
        extra_kwargs: dict[str, Any] = {
            "public_key": {"read_only": True},
            # Django leaves white space at the end of PEM texts alone; so do we.
            **{
                name: {"write_only": True, "trim_whitespace": name != "password"}
                for name in ("password", "bearer_token", "client_secret", "api_key", "client_key")
            },
        }
        validators: list[object] = []

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, endpoint: Endpoint) -> str:
        """Return how it fares."""
        return diagnose.state(endpoint).value

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_warnings(self, endpoint: Endpoint) -> list[str]:
        """Return what was found when it was saved just now."""
        return getattr(endpoint, "warnings", [])

    def unclean(self) -> set[str]:
        """Secrets that are not given stay as they are, and are not read."""
        return set(Endpoint.SECRETS) - set(self.initial_data)

    def vet(self, instance: Endpoint, attrs: dict[str, Any]) -> None:
        """Check what belongs together; what nothing uses any more is emptied."""
        authentication.refuse_unused(attrs, instance)
        emptied = authentication.unused(instance)
        attrs.update(emptied)
        for name, value in emptied.items():
            setattr(instance, name, value)
        if instance.pk and (faults := repoint.kept_secrets(instance, attrs)):
            raise ValidationError(faults)
        typed = {row.get("name", "").lower() for row in attrs.get("headers", ()) if row.get("value")}
        rows = self._rows(instance, attrs["headers"]) if "headers" in attrs else None
        staying = rows if rows is not None else self._stored(instance)
        if instance.pk and (faults := repoint.kept_headers(instance, _untyped(staying, typed))):
            raise ValidationError({"headers": [f"{name}: {told}" for name, told in faults.items()]})
        if rows is not None:
            attrs["headers"] = rows
        authentication.check(instance, rows if rows is not None else self._stored(instance))

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Endpoint:
        """Save the endpoint and its headers, or nothing."""
        rows = validated_data.pop("headers", None)
        endpoint: Endpoint = super().create(validated_data)
        self._replace(endpoint, rows)
        return endpoint

    @transaction.atomic
    def update(self, instance: Any, validated_data: dict[str, Any]) -> Endpoint:
        """Save what is given; a list of headers replaces the old one."""
        rows = validated_data.pop("headers", None)
        endpoint: Endpoint = super().update(instance, validated_data)
        self._replace(endpoint, rows)
        return endpoint

    @staticmethod
    def _stored(endpoint: Endpoint) -> Sequence[EndpointHeader]:
        return list(endpoint.headers.all()) if endpoint.pk else []

    def _rows(self, endpoint: Endpoint, given: list[dict[str, Any]]) -> list[EndpointHeader]:
        known = {header.name.lower(): header for header in self._stored(endpoint) if header.is_secret}
        rows, faults = [], []
        for header in given:
            # Where only some members of the endpoint are given, those of a header are not filled in.
            name, value, is_secret = (
                header.get("name"),
                header.get("value", ""),
                header.get("is_secret", False),
            )
            if not name:
                faults.append("Give each header its name.")
                continue
            former = known.get(name.lower())
            if not value and not (is_secret and former):
                faults.append(f"{name}: Give the value of this header.")
            secret = (value or (former.secret_value if former else "")) if is_secret else ""
            row = EndpointHeader(
                name=name, is_secret=is_secret, value="" if is_secret else value, secret_value=secret
            )
            try:
                row.full_clean(exclude=["endpoint"], validate_unique=False, validate_constraints=False)
            except ValidationError as error:
                faults += [f"{name}: {message}" for message in error.messages]
            rows.append(row)
        if faults:
            raise ValidationError({"headers": faults})
        return rows

    @staticmethod
    def _replace(endpoint: Endpoint, rows: list[EndpointHeader] | None) -> None:
        if rows is None:
            return
        endpoint.headers.all().delete()
        for row in rows:
            row.endpoint = endpoint
            row.save()
        # What was prefetched for reading is no longer so.
        endpoint._prefetched_objects_cache = {}  # type: ignore[attr-defined]


def _untyped(rows: Sequence[EndpointHeader], typed: set[str]) -> list[EndpointHeader]:
    return [row for row in rows if row.name.lower() not in typed]


class CreatedEndpointSerializer(EndpointSerializer):
    """A new endpoint, with its signing secret."""

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]
        extra_kwargs: dict[str, Any] = {**EndpointSerializer.Meta.extra_kwargs, "secret": {"read_only": True}}
