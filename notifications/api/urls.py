"""Paths below /api/v1/ that need deliveries or their configuration."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from .deliveries import DeliveriesView, DeliveryView
from .endpoints import EndpointViewSet
from .events import EventWithDeliveriesView
from .subscriptions import SubscriptionViewSet
from .suppressions import SuppressionViewSet
from .templates import LayoutViewSet, PartialViewSet, TemplateViewSet

router = SimpleRouter()
router.register("endpoints", EndpointViewSet)
router.register("subscriptions", SubscriptionViewSet)
router.register("templates", TemplateViewSet)
router.register("layouts", LayoutViewSet)
router.register("partials", PartialViewSet)
router.register("suppressions", SuppressionViewSet)

urlpatterns = [
    re_path(r"^events/(?P<public_id>evt_\w+)/$", EventWithDeliveriesView.as_view(), name="event"),
    path("deliveries/", DeliveriesView.as_view(), name="deliveries"),
    path("deliveries/<str:public_id>/", DeliveryView.as_view(), name="delivery"),
    path("", include(router.urls)),
]
