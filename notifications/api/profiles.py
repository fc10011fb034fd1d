"""Managing SMTP profiles and the rules that pick one, and testing a profile."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.base import ConfigViewSet, ModelSerializer, Strict
from events.models import ApiKey, EventType
from notifications import diagnose
from notifications.audit import record
from notifications.diagnose import State
from notifications.models import ProfileRule
from smtpprofiles.encryption import SecretUnreadable
from smtpprofiles.models import SmtpProfile
from smtpprofiles.probe import probe
from smtpprofiles.sample_mail import compose
from smtpprofiles.timeline import StepStatus


class SmtpProfileSerializer(ModelSerializer):
    """A profile; its secrets can be set, and never read."""

    state = serializers.SerializerMethodField(
        help_text="failing: it failed again and again, and gets one probe at a time."
    )

    class Meta:
        model = SmtpProfile
        fields = [
            "id", "name", "kind", "host", "port", "security", "ca_certificate",
            "authentication", "username", "password",
            "oauth_token_url", "oauth_client_id", "oauth_client_secret", "oauth_scope", "oauth_refresh_token",
            "provider_key", "provider_secret", "provider_token",
            "provider_domain", "provider_region", "provider_url",
            "from_name", "from_address", "reply_to", "bounce_address", "suppresses_bounces",
            "timeout_seconds", "connect_seconds", "max_connections", "mails_per_connection", "rate_per_minute",
            "is_default", "is_active", "fallback", "on_unknown", "paused_reason", "state",
            "created_at", "updated_at",
        ]  # fmt: skip
        extra_kwargs: dict[str, Any] = {
            **{name: {"write_only": True} for name in SmtpProfile.SECRETS},
            "is_default": {"validators": []},
        }
        validators: list[object] = []

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, profile: SmtpProfile) -> str:
        """Return how it fares."""
        return diagnose.state(profile).value

    def unclean(self) -> set[str]:
        """Becoming the default takes that from the other, so it is no conflict."""
        return {"is_default"}


class ProfileRuleSerializer(ModelSerializer):
    """Which mails leave by which profile: exactly one of event type, resource and category is given."""

    event_type = serializers.SlugRelatedField(
        "code", queryset=EventType.objects.all(), allow_null=True, required=False
    )

    class Meta:
        model = ProfileRule
        fields = ["id", "event_type", "resource", "category", "profile"]
        validators: list[object] = []


class TestSerializer(Strict):
    """What a test does beyond logging in."""

    recipient = serializers.EmailField(
        required=False, help_text="Send a short mail to this address, too. Without it nothing is sent."
    )


class StepSerializer(serializers.Serializer[Any]):
    """One step of a test."""

    name = serializers.CharField()
    status = serializers.ChoiceField(choices=[(each.value, each.value) for each in StepStatus])
    milliseconds = serializers.IntegerField()
    said = serializers.ListField(child=serializers.CharField(), help_text="The dialogue, without secrets.")
    remedy = serializers.CharField(help_text="What to do about it, where it failed.")


class ProbeSerializer(serializers.Serializer[Any]):
    """A whole test; a step that failed is the last one."""

    is_good = serializers.BooleanField()
    steps = StepSerializer(many=True)


class SmtpProfileViewSet(ConfigViewSet):
    """SMTP profiles: the accounts from which mail is sent."""

    queryset = SmtpProfile.objects.select_related("circuit").defer(*SmtpProfile.secrets())
    serializer_class = SmtpProfileSerializer
    filterset_fields = ["name", "kind", "is_default", "is_active"]

    @transaction.atomic
    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save it; the default that it replaces, if any, stops being one."""
        self._take_over(serializer)
        super().perform_create(serializer)

    @transaction.atomic
    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save the change; the default that it replaces, if any, stops being one."""
        self._take_over(serializer)
        super().perform_update(serializer)

    @extend_schema(request=TestSerializer, responses={200: ProbeSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **_kwargs: Any) -> Response:
        """Go through each step up to logging in, and a test mail where a recipient is given."""
        user, change = request.user, "smtpprofiles.change_smtpprofile"
        # The scope was checked, and for a person only the permission to add.
        if not isinstance(request.auth, ApiKey) and not user.has_perm(change):
            raise PermissionDenied(f"You need the permission {change}.")
        profile, given = self.get_object(), TestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        recipient = given.validated_data.get("recipient", "")
        record(
            request.auth if isinstance(request.auth, ApiKey) else user,
            "smtp_profile.test",
            [f"smtp profile {profile.pk}"],
        )
        try:
            message = compose(profile, recipient) if recipient else b""
            found = probe(profile.account(), recipient=recipient, message=message)
        except (SecretUnreadable, ValueError) as error:
            raise serializers.ValidationError(
                {"recipient" if recipient else "password": str(error)}
            ) from error
        finally:
            SmtpProfile.keep_new_refresh_tokens()
        return Response(ProbeSerializer(found).data)

    @staticmethod
    def _take_over(serializer: serializers.BaseSerializer[Any]) -> None:
        if serializer.validated_data.get("is_default"):
            others = SmtpProfile.objects.filter(is_default=True)
            if isinstance(serializer.instance, SmtpProfile):
                others = others.exclude(pk=serializer.instance.pk)
            others.update(is_default=False)


class ProfileRuleViewSet(ConfigViewSet):
    """The rules that pick an SMTP profile."""

    queryset = ProfileRule.objects.select_related("event_type")
    serializer_class = ProfileRuleSerializer
    filterset_fields = ["event_type__code", "resource", "category", "profile"]
