"""Managing API keys: one is shown once, when it is made, and can do no more than the caller."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events import keys
from events.admin.audit import operator_acted
from events.models import ApiKey, Scope

from .base import ModelSerializer, OldestFirst, Strict
from .wire import JSON


def beyond(caller: object, scopes: set[str]) -> list[str]:
    """Return the scopes that a caller does not hold itself; a person holds all."""
    return sorted(scopes - set(caller.scopes)) if isinstance(caller, ApiKey) else []


class KeySerializer(ModelSerializer):
    """A key, without its text; what it may do is settled when it is made."""

    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices), allow_empty=False)
    state = serializers.SerializerMethodField(help_text="usable, revoked, expired, or subscriber_inactive.")

    class Meta:
        model = ApiKey
        fields = [
            "id", "subscriber", "name", "prefix", "scopes", "is_operator", "state", "expires_at", "last_used_at",
            "revoked_at", "created_at",
        ]  # fmt: skip
        read_only_fields = ["prefix", "last_used_at", "revoked_at", "created_at"]
        extra_kwargs = {
            "is_operator": {"help_text": "Sees every subscriber's rows; needed for config: scopes."}
        }
        validators: list[object] = []

    def get_state(self, key: ApiKey) -> str:
        """Return whether it works, and if not, why."""
        if key.revoked_at:
            return "revoked"
        if key.expires_at and key.expires_at <= timezone.now():
            return "expired"
        return "usable" if key.subscriber.is_active else "subscriber_inactive"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """No more than the caller has, for no longer; then as the admin does."""
        caller = self.context["request"].auth
        if self.instance is not None and (
            settled := sorted({"subscriber", "scopes", "is_operator"} & set(attrs))
        ):
            told = "It is settled when the key is made: make another one, and revoke this."
            raise serializers.ValidationError(dict.fromkeys(settled, told))
        scopes = set(attrs.get("scopes") or getattr(self.instance, "scopes", []))
        if lacking := beyond(caller, scopes):
            told = (
                f"The key that asks does not have {', '.join(lacking)} itself, and can give no key that does."
            )
            raise serializers.ValidationError({"scopes": told})
        self._check_expiry(attrs, caller.expires_at if isinstance(caller, ApiKey) else None)
        return super().validate(attrs)

    def _check_expiry(self, attrs: dict[str, Any], callers: datetime | None) -> None:
        if self.instance is not None and "expires_at" not in attrs:
            return
        expires_at = attrs.get("expires_at")
        if expires_at and expires_at <= timezone.now():
            told = "Choose a time to come. To stop a key now, revoke it."
            raise serializers.ValidationError({"expires_at": told})
        if callers and (expires_at is None or expires_at > callers):
            told = f"The key that asks expires at {callers.isoformat()}; give that or an earlier time."
            raise serializers.ValidationError({"expires_at": told})

    def unclean(self) -> set[str]:
        """What is made only when it is saved."""
        return {"prefix", "digest"}


class NewKeySerializer(KeySerializer):
    """A new key, with its text."""

    key = serializers.SerializerMethodField(help_text="The key itself, here and nowhere later.")

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "key"]

    def get_key(self, _key: ApiKey) -> str:
        """Return its text, known in this answer alone."""
        return str(self.context["token"])


class RevokeSerializer(Strict):
    """Why it is revoked."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class KeyViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.UpdateModelMixin, viewsets.GenericViewSet[ApiKey]
):
    """API keys: made, renamed, given an end, revoked; never deleted."""

    queryset = ApiKey.objects.select_related("subscriber")
    serializer_class = KeySerializer
    permission_model = ApiKey
    required_scopes = {"GET": Scope.CONFIG_READ, "POST": Scope.CONFIG_WRITE, "PATCH": Scope.CONFIG_WRITE}
    http_method_names = ["get", "post", "patch", "head", "options"]
    renderer_classes = [JSON]
    pagination_class = OldestFirst
    filterset_fields = ["subscriber", "name", "prefix", "is_operator"]

    @extend_schema(
        responses={201: NewKeySerializer},
        examples=[
            OpenApiExample(
                "a publisher's",
                value={"subscriber": 3, "name": "billing core", "scopes": ["events:create", "events:read"]},
                request_only=True,
            )
        ],
    )
    @transaction.atomic
    def create(self, request: Request, **_kwargs: Any) -> Response:
        """Make a key; the answer alone has its text."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        person = None if isinstance(request.auth, ApiKey) else request.user
        key, token = keys.create_key(created_by=person, **serializer.validated_data)  # type: ignore[arg-type]
        self._note("create", key)
        told = NewKeySerializer(key, context={"token": token}).data
        return Response(told, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @transaction.atomic
    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save it, and have it written down who did."""
        self._note("update", serializer.save(), f"Given: {', '.join(sorted(serializer.validated_data))}.")

    @extend_schema(request=RevokeSerializer, responses={200: KeySerializer})
    @action(detail=True, methods=["post"])
    @transaction.atomic
    def revoke(self, request: Request, **_kwargs: Any) -> Response:
        """Stop a key from working, for good; again, nothing more happens."""
        given = RevokeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        key = (
            ApiKey.objects.select_for_update(of=["self"])
            .select_related("subscriber")
            .get(pk=self.get_object().pk)
        )
        if key.revoked_at is None:
            key.revoked_at = timezone.now()
            key.save(update_fields=["revoked_at"])
            self._note("revoke", key, given.validated_data["reason"])
        return Response(KeySerializer(key).data)

    def _note(self, verb: str, key: ApiKey, reason: str = "") -> None:
        actor = self.request.auth if isinstance(self.request.auth, ApiKey) else self.request.user
        operator_acted.send(
            ApiKey, actor=actor, action=f"api_key.{verb}", subjects=[key.prefix], reason=reason
        )
