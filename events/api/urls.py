"""Paths below /api/v1/ that need nothing but this app."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from .configuration import GrantViewSet, QueueViewSet, SubscriberViewSet
from .events import EventBatchView, EventsView
from .openapi import DocsView

router = SimpleRouter()
router.register("queues", QueueViewSet)
router.register("subscribers", SubscriberViewSet)
router.register("grants", GrantViewSet)

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),
    path("events/batch/", EventBatchView.as_view(), name="event-batch"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    path("", include(router.urls)),
]
