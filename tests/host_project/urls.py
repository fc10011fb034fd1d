"""The host's paths, with the API and the admin pages of the product among them."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("billing/api/", include("events.api.urls"))]
