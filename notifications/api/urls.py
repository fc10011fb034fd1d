"""Paths below /api/v1/ that need deliveries or their configuration."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from .deliveries import DeliveriesView, DeliveryView
from .endpoints import EndpointViewSet
from .event_types import (
    CalloutSampleView,
    CalloutSchemaView,
    EventTypesWithCalloutView,
    EventTypeWithCalloutView,
)
from .events import EventWithDeliveriesView
from .feedback_addresses import FeedbackAddressViewSet
from .operate import CancelView, HoldView, ReleaseView, RetryView, SkipView
from .opt_outs import OptOutViewSet
from .preview import PreviewView
from .profiles import ProfileRuleViewSet, SmtpProfileViewSet
from .queues import AckView, MessagesView, QueueWithLanesViewSet
from .replays import ReplaysView, ReplayView
from .statements import ResendMissingView, StatementView
from .subscriptions import SubscriptionViewSet
from .suppressions import SuppressionViewSet
from .templates import LayoutViewSet, PartialViewSet, TemplateViewSet

router = SimpleRouter()
router.register("queues", QueueWithLanesViewSet)
router.register("endpoints", EndpointViewSet)
router.register("subscriptions", SubscriptionViewSet)
router.register("smtp-profiles", SmtpProfileViewSet)
router.register("profile-rules", ProfileRuleViewSet)
router.register("templates", TemplateViewSet)
router.register("layouts", LayoutViewSet)
router.register("partials", PartialViewSet)
router.register("suppressions", SuppressionViewSet)
router.register("opt-outs", OptOutViewSet)
router.register("feedback-addresses", FeedbackAddressViewSet)

urlpatterns = [
    re_path(r"^events/(?P<public_id>evt_\w+)/$", EventWithDeliveriesView.as_view(), name="event"),
    path("deliveries/", DeliveriesView.as_view(), name="deliveries"),
    path("deliveries/<str:public_id>/", DeliveryView.as_view(), name="delivery"),
    path("deliveries/<str:public_id>/retry/", RetryView.as_view(), name="delivery-retry"),
    path("deliveries/<str:public_id>/skip/", SkipView.as_view(), name="delivery-skip"),
    path("deliveries/<str:public_id>/cancel/", CancelView.as_view(), name="delivery-cancel"),
    path("deliveries/<str:public_id>/hold/", HoldView.as_view(), name="delivery-hold"),
    path("deliveries/<str:public_id>/release/", ReleaseView.as_view(), name="delivery-release"),
    path("queues/<slug:name>/messages/", MessagesView.as_view(), name="messages"),
    path("queues/<slug:name>/ack/", AckView.as_view(), name="ack"),
    path("replays/", ReplaysView.as_view(), name="replays"),
    path("replays/<int:pk>/", ReplayView.as_view(), name="replay"),
    path("statements/resend-missing/", ResendMissingView.as_view(), name="resend-missing"),
    path("statements/<str:day>/", StatementView.as_view(), name="statement"),
    path("event-types/", EventTypesWithCalloutView.as_view(), name="event-types"),
    re_path(r"^event-types/(?P<code>[\w.]+)/$", EventTypeWithCalloutView.as_view(), name="event-type"),
    re_path(
        r"^event-types/(?P<code>[\w.]+)/schema\.json$", CalloutSchemaView.as_view(), name="callout-schema"
    ),
    re_path(
        r"^event-types/(?P<code>[\w.]+)/sample\.json$", CalloutSampleView.as_view(), name="callout-sample"
    ),
    path("subscriptions/preview/", PreviewView.as_view(), name="subscription-preview"),
    path("", include(router.urls)),
]
