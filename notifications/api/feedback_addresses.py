"""Managing where providers and mail servers report what became of mails."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.acting import actor_of, require
from events.api.base import ConfigViewSet, ModelSerializer
from notifications import audit, feedback_address
from notifications.models import FeedbackAddress
from smtpprofiles.models import SmtpProfile

from .suppressions import ReleaseSerializer


class FeedbackAddressSerializer(ModelSerializer):
    """A feedback address. Its URL is told once: when it is made, and when it is renewed."""

    url = serializers.SerializerMethodField(help_text="Empty but in the answer that makes it.")

    class Meta:
        model = FeedbackAddress
        fields = [
            "id",
            "profile",
            "provider",
            "signing_key",
            "keeps_opens",
            "url",
            "created_at",
            "updated_at",
        ]
        extra_kwargs = {"signing_key": {"write_only": True}, "provider": {"required": False}}
        validators: list[object] = []

    def get_url(self, row: FeedbackAddress) -> str:
        """Return what was made just now."""
        return str(getattr(row, "new_url", ""))

    def unclean(self) -> set[str]:
        """Made by us."""
        return {"token_hash"}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Validate as the console does, and take over the provider that the profile says."""
        row = self.instance
        given = {"provider": "" if row is None or "profile" in attrs else row.provider} | attrs
        return super().validate(given)

    def create(self, validated_data: dict[str, Any]) -> FeedbackAddress:
        """Save it with a URL of its own."""
        row = FeedbackAddress(**validated_data)
        url = feedback_address.renew(row)
        row.save()
        row.new_url = url  # type: ignore[attr-defined]  # for the answer
        return row


class FeedbackAddressViewSet(ConfigViewSet):
    """Feedback addresses: one for a profile."""

    queryset = FeedbackAddress.objects.select_related("profile").defer(*SmtpProfile.secrets("profile__"))
    serializer_class = FeedbackAddressSerializer
    filterset_fields = ["profile", "provider"]

    @extend_schema(request=ReleaseSerializer, responses={200: FeedbackAddressSerializer})
    @action(detail=True, methods=["post"])
    @transaction.atomic
    def renew(self, request: Request, **_kwargs: Any) -> Response:
        """Make a new URL; the old one stops working at once."""
        require(request, "notifications.change_feedbackaddress")
        given = ReleaseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row = self.get_object()
        url = feedback_address.renew(row)
        row.save(update_fields=["token_hash", "updated_at"])
        actor = actor_of(request)
        audit.record(actor, "feedbackaddress.renew", [str(row)], given.validated_data.get("reason", ""))
        row.new_url = url
        return Response(self.get_serializer(row).data)
