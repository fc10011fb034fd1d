"""SMTP profiles again, now with how each fares and what waits for it."""

from django.contrib import admin

from smtpprofiles.admin import SmtpProfileAdmin
from smtpprofiles.models import SmtpProfile

from .destination import DestinationPage, StatusFilter

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(SmtpProfile)


@admin.register(SmtpProfile)
class SmtpProfileWithDeliveryAdmin(DestinationPage[SmtpProfile], SmtpProfileAdmin):
    """Mail accounts, with how their mail is doing."""

    list_display = ["name", "state", "host", "port", "from_address", "rate_per_minute", "is_default"]
    list_filter = [StatusFilter, "is_default", "security"]
    search_help_text = "Name, server, address or user name"
    readonly_fields = [*SmtpProfileAdmin.readonly_fields, *DestinationPage.delivery_fields]
    # Its pause is told with its status, and ended by its button, which shows what waits first.
    fieldsets = [
        (None, {"fields": ["name", "is_default", "is_active"]}),
        ("Delivery", {"fields": DestinationPage.delivery_fields}),
        *SmtpProfileAdmin.fieldsets[1:],
    ]
