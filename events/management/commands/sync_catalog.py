"""`manage.py sync_catalog`: the catalog of event types, from code to rows."""

from typing import Any

from django.core.management.base import BaseCommand

from events.signals import catalog_synced
from events.sync import sync


class Command(BaseCommand):
    """Prints how many event types it created, updated, left and retired."""

    help = "Copy the built-in event types and their tokens to the database. Safe to repeat."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Sync, and say what changed."""
        report = sync()
        has_changed = bool(report.created or report.updated or report.retired)
        catalog_synced.send(sender=type(self), has_changed=has_changed)
        self.stdout.write(
            self.style.SUCCESS(
                f"Event types: {report.created} created, {report.updated} updated, "
                f"{report.unchanged} unchanged, {report.retired} retired."
            )
        )
