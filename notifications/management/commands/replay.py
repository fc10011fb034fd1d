"""`manage.py replay`: send deliveries again, beside the live traffic."""

import argparse
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from events import ids, moments
from notifications import replay
from notifications.models import Delivery, Endpoint, Replay, Subscription
from notifications.replay import REPLAYABLE, Selection
from notifications.withdraw import System


class Command(BaseCommand):
    """Order a replay and reopen all of it, with progress."""

    help = "Send deliveries again: by ids, or those of a subscription or an endpoint. Workers send them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what selects them."""
        parser.add_argument("ids", nargs="*", metavar="dlv_…", help="these deliveries")
        parser.add_argument("--subscription", type=int, metavar="N")
        parser.add_argument("--endpoint", type=int, metavar="N")
        parser.add_argument(
            "--after", type=_moment, metavar="TIME", help="made from then on, with its offset"
        )
        parser.add_argument("--before", type=_moment, metavar="TIME", help="made earlier than that")
        parser.add_argument("--event-type", default="", metavar="CODE")
        parser.add_argument("--ordering-key", default="", metavar="KEY")
        parser.add_argument(
            "--status", action="append", choices=[each.value for each in REPLAYABLE], help="default: all"
        )
        parser.add_argument("--reason", default="", help="for the audit log")
        parser.add_argument("--dry-run", action="store_true", help="count, and send nothing")

    def handle(self, *_args: Any, **given: Any) -> None:
        """Count or order it, and carry it on to its end."""
        selection = self._selection(given)
        found = replay.preview(selection)
        parts = ", ".join(f"{number} {status}" for status, number in found.by_status.items())
        alone = ", ".join(f"{number} {status}" for status, number in found.left_alone.items())
        self.stdout.write(
            f"{found.total} to send again{f' ({parts})' if parts else ''}"
            f"{f'; left alone: {alone}' if alone else ''}."
        )
        if given["dry_run"] or not found.total:
            return
        row = replay.order(selection, System(), given["reason"])
        while row.status == Replay.Status.RUNNING:
            self.stdout.write(f"{row.reopened} of {row.total} reopened")
            replay.carry_on(row.pk)
            row.refresh_from_db()
        self.stdout.write(
            f"Replay {row.pk}: {row.reopened} of {row.total} reopened; workers send them in lanes of their own."
        )

    @staticmethod
    def _selection(given: dict[str, Any]) -> Selection:
        uids = {text: ids.parse("dlv", text) for text in given["ids"]}
        known = set(
            Delivery.objects.filter(uid__in=[uid for uid in uids.values() if uid]).values_list(
                "uid", flat=True
            )
        )
        if unknown := [text for text, uid in uids.items() if uid not in known]:
            raise CommandError(f"There is no such delivery: {', '.join(unknown[:5])}.")
        selects = [
            given[name]
            for name in ("subscription", "endpoint", "after", "before", "event_type", "ordering_key")
        ]
        if uids and any(selects):
            raise CommandError("Give either ids or what selects deliveries, not both.")
        if not uids and not (given["subscription"] or given["endpoint"]):
            raise CommandError("Give ids, --subscription or --endpoint.")
        for name, kind in (("subscription", Subscription), ("endpoint", Endpoint)):
            if given[name] and not kind._default_manager.filter(pk=given[name]).exists():
                raise CommandError(f"There is no {name} {given[name]}.")
        return Selection(
            ids=tuple(sorted(known)),
            subscription_id=given["subscription"],
            endpoint_id=given["endpoint"],
            created_after=given["after"],
            created_before=given["before"],
            event_type=given["event_type"],
            ordering_key=given["ordering_key"],
            statuses=tuple(given["status"] or REPLAYABLE),
        )


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None or moment.utcoffset() is None or not moments.is_storable(moment):
        raise argparse.ArgumentTypeError("write it as 2026-11-22T14:03:09Z, with its offset")
    return moment
