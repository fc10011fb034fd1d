"""Paths below /api/v1/ that need deliveries or their configuration."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from .deliveries import DeliveriesView, DeliveryView
from .endpoints import EndpointViewSet
from .events import EventWithDeliveriesView
from .subscriptions import SubscriptionViewSet

router = SimpleRouter()
router.register("endpoints", EndpointViewSet)
router.register("subscriptions", SubscriptionViewSet)

urlpatterns = [
    re_path(r"^events/(?P<public_id>evt_\w+)/$", EventWithDeliveriesView.as_view(), name="event"),
    path("deliveries/", DeliveriesView.as_view(), name="deliveries"),
    path("deliveries/<str:public_id>/", DeliveryView.as_view(), name="delivery"),
    path("", include(router.urls)),
]
