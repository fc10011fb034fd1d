"""Managing triggers, trying them, reading their ledger, and moving what will fire."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from events.admin.audit import operator_acted
from events.admin.trigger_test import begin
from events.models import ApiKey, BackTest, Event, LedgerEntry, ScheduledFiring, Scope, Trigger
from events.triggers import back_test, edit, reschedule
from events.triggers.rules import RELATED

from .acting import actor_of
from .base import ConfigViewSet, NewestFirst, OldestFirst, Strict
from .trigger_parts import TriggerSerializer
from .wire import JSON


class BackTestSerializer(Strict, serializers.ModelSerializer[BackTest]):
    """A back-test: how far it is, and what would have fired."""

    class Meta:
        model = BackTest
        fields = [
            "id", "trigger", "days", "status", "looked_at", "total", "fired", "accounts", "result", "error",
            "created_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "days"]
        extra_kwargs = {"days": {"min_value": 1, "max_value": 400}}


class ReasonSerializer(Strict):
    """Why it is done."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=300)


class _OfEvent(serializers.ModelSerializer[Any]):
    _published: dict[int, str] | None = None  # of all rows that this serializer is made for

    event = serializers.SerializerMethodField(help_text="evt_…, the event that was published; null: none.")

    def get_event(self, row: Any) -> str | None:
        """Return its public id; the ids of a whole page are read at once."""
        if self._published is None:
            rows = (self.parent.instance if self.parent else None) or [row]
            events = Event.objects.filter(pk__in=[each.event_id for each in rows if each.event_id])
            self._published = {each.pk: each.public_id for each in events.only("pk", "uid")}
        return self._published.get(row.event_id)


class FiringSerializer(Strict, _OfEvent):
    """One thing that will fire; another `due_at` moves it."""

    class Meta:
        model = ScheduledFiring
        fields = [
            "id", "trigger", "kind", "external_id", "account", "due_at", "zone", "anchor_at", "period", "status",
            "reason", "is_by_hand", "event", "settled_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "due_at"]

    def validate_due_at(self, value: datetime) -> datetime:
        """Refuse what is too far ahead."""
        reschedule.check(value)
        return value


class LedgerSerializer(_OfEvent):
    """Why a rule did, or did not, fire."""

    class Meta:
        model = LedgerEntry
        fields = [
            "id", "at", "trigger", "outcome", "kind", "external_id", "account", "tier", "period", "detail",
            "findings", "change_id", "event",
        ]  # fmt: skip


def _check_may_change(request: Request, permission: str) -> None:
    # The scope was checked, and for a person only the permission to add.
    if not isinstance(request.auth, ApiKey) and not request.user.has_perm(permission):
        raise PermissionDenied(f"You need the permission {permission}.")


class TriggerViewSet(ConfigViewSet):
    """Triggers: rules that turn changes, time and absence into events."""

    queryset = Trigger.objects.select_related("event_type", "anchor", "recovery_type").prefetch_related(
        *RELATED
    )
    serializer_class = TriggerSerializer
    filterset_fields = ["name", "source", "object_kind", "event_type__code", "is_active", "builtin"]

    @extend_schema(request=None, responses={200: TriggerSerializer})
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, **_kwargs: Any) -> Response:
        """Switch it on; a rule that could not work is refused with the reasons."""
        return self._switch(request, "activate")

    @extend_schema(request=None, responses={200: TriggerSerializer})
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, **_kwargs: Any) -> Response:
        """Switch it off."""
        return self._switch(request, "deactivate")

    @extend_schema(request=BackTestSerializer, responses={202: BackTestSerializer})
    @action(detail=True, methods=["post"], url_path="back-test")
    def back_test(self, request: Request, **_kwargs: Any) -> Response:
        """Try it on stored history; a long one goes on in the background, see back-tests/."""
        _check_may_change(request, "events.change_trigger")
        serializer = BackTestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        trigger = self.get_object()
        user = None if isinstance(request.auth, ApiKey) else request.user
        test = begin(trigger, serializer.validated_data.get("days", 30), user)
        self._note("back_test", trigger)
        return Response(BackTestSerializer(test).data, status=202)

    def perform_destroy(self, instance: Any) -> None:
        """Delete it; a built-in one is switched off instead."""
        if instance.builtin:
            raise ValidationError(
                {"builtin": "A built-in trigger is switched off, not deleted: POST deactivate/."}
            )
        super().perform_destroy(instance)

    def _switch(self, request: Request, verb: str) -> Response:
        _check_may_change(request, "events.change_trigger")
        trigger = self.get_object()
        {"activate": edit.activate, "deactivate": edit.deactivate}[verb](trigger)
        self._note(verb, trigger)
        return Response(self.get_serializer(trigger).data)


class BackTestViewSet(mixins.RetrieveModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[BackTest]):
    """Back-tests: what rules would have done."""

    queryset = BackTest.objects.all()
    serializer_class = BackTestSerializer
    permission_model = Trigger
    required_scopes = {"GET": Scope.CONFIG_READ, "POST": Scope.CONFIG_WRITE}
    renderer_classes = [JSON]
    pagination_class = NewestFirst
    filterset_fields = ["trigger", "status"]

    @extend_schema(request=None, responses={200: BackTestSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_kwargs: Any) -> Response:
        """Stop it; what was found so far stays."""
        _check_may_change(request, "events.change_trigger")
        test = self.get_object()
        back_test.cancel(test)
        test.refresh_from_db()
        return Response(self.get_serializer(test).data)


class FiringViewSet(
    mixins.RetrieveModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[ScheduledFiring]
):
    """The calendar: what will fire, what fired, and what was withdrawn."""

    queryset = ScheduledFiring.objects.all()
    serializer_class = FiringSerializer
    permission_model = ScheduledFiring
    required_scopes = {"GET": Scope.CONFIG_READ, "POST": Scope.CONFIG_WRITE, "PATCH": Scope.CONFIG_WRITE}
    renderer_classes = [JSON]
    pagination_class = OldestFirst
    filterset_fields: Any = {
        "trigger": ["exact"],
        "status": ["exact"],
        "account": ["exact"],
        "kind": ["exact"],
        "external_id": ["exact"],
        "due_at": ["gte", "lt"],
    }

    def partial_update(self, request: Request, **_kwargs: Any) -> Response:
        """Move it to another time; 400 if it does not wait any more."""
        _check_may_change(request, "events.change_scheduledfiring")
        firing = self.get_object()
        serializer = self.get_serializer(firing, data=request.data)
        serializer.is_valid(raise_exception=True)
        if not reschedule.move(firing.pk, serializer.validated_data["due_at"]):
            raise ValidationError({"due_at": f"It does not wait any more: {firing.get_status_display()}."})
        return self._answer(request, firing, "move")

    @extend_schema(request=ReasonSerializer, responses={200: FiringSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_kwargs: Any) -> Response:
        """Have it not fire; 400 if it does not wait any more."""
        _check_may_change(request, "events.change_scheduledfiring")
        firing = self.get_object()
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        reason = given.validated_data.get("reason", "")
        if not reschedule.cancel([firing.pk], str(request.auth or request.user), reason):
            raise ValidationError({"status": f"It does not wait any more: {firing.get_status_display()}."})
        return self._answer(request, firing, "cancel", reason)

    def _answer(self, request: Request, firing: ScheduledFiring, verb: str, reason: str = "") -> Response:
        operator_acted.send(
            ScheduledFiring, actor=actor_of(request),
            action=f"firing.{verb}", subjects=[f"firing {firing.pk}"], reason=reason,
        )  # fmt: skip
        firing.refresh_from_db()
        return Response(self.get_serializer(firing).data)


class LedgerViewSet(mixins.RetrieveModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet[LedgerEntry]):
    """The ledger: why rules did, or did not, fire."""

    queryset = LedgerEntry.objects.all()
    serializer_class = LedgerSerializer
    permission_model = LedgerEntry
    required_scopes = {"GET": Scope.CONFIG_READ}
    renderer_classes = [JSON]
    pagination_class = NewestFirst
    filterset_fields: Any = {
        "trigger": ["exact"],
        "outcome": ["exact"],
        "kind": ["exact"],
        "external_id": ["exact"],
        "account": ["exact"],
        "at": ["gte", "lt"],
    }
