"""Testing and checking an endpoint: the two actions that send real requests which are no deliveries."""

from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.acting import actor_of, require
from events.api.base import ConfigViewSet, Strict
from events.models import ApiKey, Scope
from notifications import check_up, receiver_checks, trial
from notifications.destinations import Unusable
from notifications.models import Endpoint
from notifications.rendering import Unrenderable
from notifications.transports.trace import State
from notifications.trial_form import CheckForm, TrialForm


class NotSent(APIException):
    """Nothing could be sent as the endpoint or the subscription is configured."""

    status_code = HTTPStatus.CONFLICT
    default_code = "not_sent"


class CheckSerializer(Strict):
    """What the requests are made of."""

    event_type = serializers.CharField(
        required=False, help_text="Whose sample is sent; default: one that the endpoint is called for."
    )
    subscription = serializers.IntegerField(
        required=False, allow_null=True, help_text="With the parameters of this subscription."
    )
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=500, help_text="For the audit log."
    )


class TrialSerializer(CheckSerializer):
    """The same, or a past event."""

    event = serializers.CharField(required=False, help_text="evt_…: this event instead of a sample.")


class StepSerializer(serializers.Serializer[Any]):
    """One step of a request."""

    name = serializers.CharField(help_text="token, resolve, check, connect, tls, request or response.")
    state = serializers.ChoiceField(choices=[each.value for each in State])
    milliseconds = serializers.FloatField(allow_null=True)
    detail = serializers.CharField()


class ExchangeSerializer(serializers.Serializer[Any]):
    """One side of a request, secrets masked."""

    headers = serializers.CharField()
    body = serializers.CharField()


class TrialResultSerializer(serializers.Serializer[Any]):
    """How a test went."""

    is_accepted = serializers.BooleanField()
    verdict = serializers.CharField(help_text="What happened, in a plain sentence.")
    remedy = serializers.CharField(help_text="What would mend it; empty if it was accepted.")
    url = serializers.CharField()
    webhook_id = serializers.CharField(help_text="tst_…")
    status_code = serializers.IntegerField(allow_null=True)
    error_class = serializers.CharField()
    detail = serializers.CharField()
    duration_ms = serializers.IntegerField()
    address = serializers.CharField()
    steps = StepSerializer(many=True)
    request = ExchangeSerializer()
    response = ExchangeSerializer()


class FindingSerializer(serializers.Serializer[Any]):
    """How one check went."""

    name = serializers.ChoiceField(choices=list(receiver_checks.CHECKS), source="check.name")
    grade = serializers.ChoiceField(choices=[each.value for each in check_up.Grade])
    sent = serializers.CharField(source="check.sent")
    expected = serializers.CharField(source="check.expected")
    said = serializers.CharField()
    why = serializers.CharField(source="check.why", help_text="Why it matters.")
    status_code = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField(allow_null=True)


class ReportSerializer(serializers.Serializer[Any]):
    """What a receiver got right."""

    verdict = serializers.CharField()
    url = serializers.CharField()
    findings = FindingSerializer(many=True)


class TrialActions(ConfigViewSet):
    """What an endpoint's view set has beside its own actions."""

    @extend_schema(request=TrialSerializer, responses={200: TrialResultSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **_kwargs: Any) -> Response:
        """Send one real request marked `bellwether-test: true`, and tell step by step how it went.

        It is no delivery, and is sent to a paused endpoint too. It takes at most the endpoint's time-out.
        """
        endpoint, form, reason = self._wanted(TrialForm, TrialSerializer)
        if form.cleaned_data.get("event") and not _may_read_events(request):
            raise PermissionDenied("To send a past event, events:read is needed as well.")
        try:
            found = trial.send_test(
                endpoint,
                about=form.about,
                subscription=form.cleaned_data["subscription"],
                actor=actor_of(request),
                reason=reason,
            )
        except (Unusable, Unrenderable) as error:
            raise NotSent(str(error)) from error
        return Response(TrialResultSerializer(_told(found)).data, headers={"Cache-Control": "no-store"})

    @extend_schema(request=CheckSerializer, responses={200: ReportSerializer})
    @action(detail=True, methods=["post"])
    def check(self, request: Request, **_kwargs: Any) -> Response:
        """Send ten real requests with sample data, right and wrong ones, and report what the receiver got right.

        All are marked `bellwether-test: true` and none is a delivery. Together they take at most the
        endpoint's time-out. Nothing else is sent where the first, a correct one, is not accepted.
        """
        endpoint, form, reason = self._wanted(CheckForm, CheckSerializer)
        try:
            report = check_up.check_up(
                endpoint,
                about=form.sample,
                subscription=form.cleaned_data["subscription"],
                actor=actor_of(request),
                reason=reason,
            )
        except (Unusable, Unrenderable) as error:
            raise NotSent(str(error)) from error
        return Response(ReportSerializer(report).data, headers={"Cache-Control": "no-store"})

    def _wanted(self, kind: type[CheckForm], shape: type[CheckSerializer]) -> tuple[Endpoint, Any, str]:
        """Return the endpoint, the console's form filled in, and why; a 400 names what is wrong."""
        require(self.request, "notifications.change_endpoint")
        endpoint, serializer = self.get_object(), shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        form = kind(endpoint, serializer.validated_data)
        if not form.is_valid():
            raise serializers.ValidationError(
                {name: [str(each) for each in found] for name, found in form.errors.items()}
            )
        return endpoint, form, serializer.validated_data.get("reason", "")


def _may_read_events(request: Request) -> bool:
    if isinstance(request.auth, ApiKey):
        return Scope.EVENTS_READ in request.auth.scopes
    return request.user.has_perm("events.view_event")


def _told(found: trial.Trial) -> dict[str, Any]:
    outcome = found.outcome
    return {
        "is_accepted": not outcome.error_class,
        "verdict": found.advice.verdict,
        "remedy": found.advice.remedy,
        "url": found.url,
        "webhook_id": found.message.id,
        "status_code": outcome.status_code,
        "error_class": outcome.error_class,
        "detail": outcome.detail,
        "duration_ms": round(outcome.duration.total_seconds() * 1000),
        "address": outcome.address,
        "steps": found.steps,
        "request": {"headers": outcome.request_headers, "body": found.body},
        "response": {"headers": outcome.response_headers, "body": outcome.response_body},
    }
