"""The host's own app follows its models, and one of an app that knows nothing of it."""

from django.apps import AppConfig

import events


class ShopConfig(AppConfig):
    """Customers and their invoices."""

    name = "tests.host_project.shop"

    def ready(self) -> None:
        """Follow what notifications are about: one line each."""
        from .models import Customer, Invoice

        events.track(Customer, as_="account", fields=["name", "status"], id_field="number")
        events.track(
            Invoice,
            as_="invoice",
            fields=["number", "total", "status", "due_on", "open_total"],
            parents={"account": lambda invoice: invoice.customer_number},
        )
        events.track(
            "ledger.Entry", as_="ledger_entry", fields={"amount": "amount", "booked.by": "booked_by"}
        )
