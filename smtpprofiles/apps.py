"""smtpprofiles as a Django app."""

from django.apps import AppConfig


class SmtpprofilesConfig(AppConfig):
    """Registers the app."""

    name = "smtpprofiles"
    verbose_name = "Mail"
