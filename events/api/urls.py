"""Paths below /api/v1/ that need nothing but this app."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from .configuration import GrantViewSet, SubscriberViewSet
from .events import EventBatchView, EventsView
from .keys import KeyViewSet
from .objects import ActivityView, ObjectBatchView, ObjectsView, ObjectView
from .openapi import DocsView
from .triggers import BackTestViewSet, FiringViewSet, LedgerViewSet, TriggerViewSet

router = SimpleRouter()
router.register("subscribers", SubscriberViewSet)
router.register("grants", GrantViewSet)
router.register("keys", KeyViewSet)
router.register("triggers", TriggerViewSet)
router.register("back-tests", BackTestViewSet)
router.register("firings", FiringViewSet)
router.register("trigger-ledger", LedgerViewSet)

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),
    path("events/batch/", EventBatchView.as_view(), name="event-batch"),
    path("objects/", ObjectsView.as_view(), name="objects"),
    path("objects/batch/", ObjectBatchView.as_view(), name="object-batch"),
    path("objects/<str:kind>/<path:external_id>/", ObjectView.as_view(), name="object"),
    path("activity/", ActivityView.as_view(), name="activity"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    path("", include(router.urls)),
]
