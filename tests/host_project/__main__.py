"""What the host does, and what came of it: one JSON object, a member for each case."""

import json
import os
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.host_project.settings"
django.setup()

from django.core import checks  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import F  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

import events  # noqa: E402
from events import exact, tracking  # noqa: E402
from events.fold import fold  # noqa: E402
from events.lineage import lineage  # noqa: E402
from events.models import BillingObject, Change  # noqa: E402
from tests.host_project.ledger.models import Entry  # noqa: E402
from tests.host_project.shop.models import CreditNote, Customer, Invoice, Note, ProxyInvoice  # noqa: E402

Case = Callable[[], Any]


def folded(*members: str) -> list[list[Any]]:
    """Take over what was written, and return each change as operation, before and after, of these members."""
    fold()
    return [
        [
            change.operation,
            *([state and state.get(name) for name in members] for state in (change.before, change.after)),
        ]
        for change in Change.objects.order_by("id")
    ]


def invoice(number: str = "R1", **values: Any) -> Invoice:
    customer, _ = Customer.objects.get_or_create(number="C1", defaults={"name": "Example"})
    given = {"number": number, "total": "19.90", "due_on": "2026-12-01", **values}
    return Invoice.objects.create(customer=customer, customer_number=customer.number, **given)


def forget() -> None:
    """Begin the next case with nothing written."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE events_change, events_billingobject, shop_customer, shop_note CASCADE")


def each_save_and_delete() -> Any:
    customer = Customer.objects.create(number="C7", name="Example")
    customer.status = "Suspended"
    customer.save()
    customer.save()
    customer.delete()
    changes = folded("name", "status")
    state = BillingObject.objects.get(kind="account", external_id="C7").state
    return {"changes": changes, "members": sorted(state)}


def one_insert() -> Any:
    customer = Customer.objects.create(number="C2", name="Example")
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        customer.save()
    return [each["sql"].split()[0] for each in queries.captured_queries]


def no_lock() -> Any:
    row = invoice()
    fold()
    with transaction.atomic():
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute(
                "BEGIN; LOCK TABLE events_billingobject, events_objectkind IN ACCESS EXCLUSIVE MODE"
            )
        row.status = "posted"
        row.save()
        with other.cursor() as cursor:
            cursor.execute("ROLLBACK")
        other.close()
    return folded("status")[-1]


def a_rollback() -> Any:
    with transaction.atomic():
        invoice()
        transaction.set_rollback(True)
    return Change.objects.count()


def a_broken_table() -> Any:
    before = tracking.failures()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE events_change RENAME TO events_away")
    try:
        with transaction.atomic():
            row = invoice("R-broken")
            row.delete()
            Note.objects.create(text="goes on")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE events_away RENAME TO events_change")
    return {"failures": tracking.failures() - before, "notes": Note.objects.filter(text="goes on").count()}


def an_expression() -> Any:
    row = invoice()
    row.paid = F("paid") + Decimal("0.40")
    row.save()
    row.total = F("total") + 1
    row.save()
    return folded("total", "open_total")


def some_fields() -> Any:
    row = invoice()
    row.status, row.number = "posted", "not saved"
    row.save(update_fields=["status"])
    row.save(update_fields=["paid"])
    part = Invoice.objects.only("status").get(pk=row.pk)
    part.status = "paid"
    part.save()
    return folded("status", "number")


def inheritance() -> Any:
    row = invoice()
    proxy = ProxyInvoice.objects.get(pk=row.pk)
    proxy.status = "posted"
    proxy.save()
    note = CreditNote.objects.create(
        customer=row.customer, customer_number="C1", number="G1", total=5, reason="late"
    )
    note.delete()
    return folded("number", "status")


def bulk() -> Any:
    rows = [invoice(f"R{number}") for number in range(3)]
    fold()
    Invoice.objects.update(status="posted")
    silent = Change.objects.filter(folded_at=None).count()
    with CaptureQueriesContext(connection) as queries:
        told = events.track_bulk(Invoice.objects.all())
    inserts = sum("INSERT" in each["sql"] for each in queries.captured_queries)
    deleted = events.track_bulk(rows[:2], operation="delete")
    Invoice.objects.filter(pk__in=[row.pk for row in rows[:2]])._raw_delete("default")
    try:
        events.track_bulk([Note(text="-")])
    except tracking.NotTracked as error:
        refusal = str(error)
    changes = folded("status")
    return {
        "silent": silent,
        "told": told,
        "inserts": inserts,
        "deleted": deleted,
        "refusal": refusal,
        "changes": changes,
    }


def another_app() -> Any:
    Entry.objects.create(amount="5.00", booked_by="accounting")
    fold()
    row = BillingObject.objects.get(kind="ledger_entry")
    return exact.dumps(row.state)


def parents() -> Any:
    row = invoice()
    fold()
    found = lineage(BillingObject.objects.get(kind="invoice", external_id=str(row.pk)))
    return {kind: state.get("name") or state["number"] for kind, state in found.items()}


def untouched() -> Any:
    Note.objects.create(text="one")
    with CaptureQueriesContext(connection) as queries:
        Note.objects.all().delete()
    return [Change.objects.count(), *(each["sql"].split()[0] for each in queries)]


def a_model_that_is_not_there() -> Any:
    events.track("ledger.Entri", as_="entry", fields=["amount"])
    found = [each for each in checks.run_checks() if each.id == "events.E001"]
    tracking.awaited.clear()
    return [[each.msg, each.hint] for each in found]


def the_product_itself() -> Any:
    return [each.id for each in checks.run_checks()]


CASES: list[Case] = [
    each_save_and_delete,
    one_insert,
    no_lock,
    a_rollback,
    a_broken_table,
    an_expression,
    some_fields,
    inheritance,
    bulk,
    another_app,
    parents,
    untouched,
    the_product_itself,
    a_model_that_is_not_there,
]


def main() -> None:
    """Make the tables, do each case, and print what came of it."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("sync_catalog", verbosity=0, stdout=sys.stderr)
    results = {}
    for case in CASES:
        forget()
        results[case.__name__] = case()
    sys.stdout.write(json.dumps(results, default=str))


main()
