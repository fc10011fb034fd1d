"""Paths for those without a login: recipients of mail, and providers that report of it."""

from django.urls import path

from .feedback_views import feedback
from .opt_out_views import unsubscribe

urlpatterns = [
    path("unsubscribe/<str:token>/", unsubscribe, name="unsubscribe"),
    path("feedback/<str:token>/", feedback, name="feedback"),
]
