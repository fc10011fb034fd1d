"""What support does to one delivery, for programs: retry, skip, cancel, hold, release."""

from collections.abc import Callable
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.acting import actor_of
from events.api.base import Strict
from events.api.wire import JSON
from events.models import Scope
from events.refusals import StateConflict
from notifications import operate
from notifications.models import Delivery

from .deliveries import DeliverySerializer
from .problems import OPERATES, PROBLEMS
from .visibility import delivery_of


class OperationSerializer(Strict):
    """Why it is done."""

    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=500, default="", help_text="For the audit log."
    )


class _Verb(generics.GenericAPIView[Delivery]):
    """One verb on one delivery: 200 with the delivery as it is now, or 409 with its state and the remedy."""

    queryset = Delivery.objects.all()
    permission_model = Delivery
    required_scopes = {"POST": Scope.DELIVERIES_OPERATE}
    permission_actions = OPERATES
    renderer_classes = [JSON]
    serializer_class = OperationSerializer
    act: ClassVar[Callable[..., operate.Report]]

    @extend_schema(request=OperationSerializer, responses={200: DeliverySerializer, **PROBLEMS})
    def post(self, request: Request, public_id: str) -> Response:
        """Do it to one delivery; where its state does not allow it, 409 says why and what to do instead."""
        delivery = delivery_of(request, public_id)
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor = actor_of(request)
        report = type(self).act([delivery.pk], actor, given.validated_data["reason"])
        delivery = delivery_of(request, public_id)
        for refusal in report.refused:
            raise StateConflict(
                f"{delivery.public_id}: {refusal}.", state=delivery.status, hold_cause=delivery.hold_cause
            )
        return Response(DeliverySerializer(delivery).data)


class RetryView(_Verb):
    """Send a held, dead or waiting delivery now; one that blocks its lane unblocks it."""

    act = operate.retry


class SkipView(_Verb):
    """Let the lane go on without a delivery; what is sent next says that it was skipped."""

    act = operate.skip


class CancelView(_Verb):
    """Give a delivery up that has not arrived; its lane, if it has one, goes on."""

    act = operate.cancel


class HoldView(_Verb):
    """Keep a delivery that waits from being sent until it is released; its lane waits behind it."""

    act = operate.hold


class ReleaseView(_Verb):
    """Let a delivery go on that a person or the event's publisher held."""

    act = operate.release
