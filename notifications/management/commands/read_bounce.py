"""`manage.py read_bounce`: the pipe through which a mail server hands over the mails to the bounce address."""

import sys
from argparse import ArgumentParser
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from notifications.bounce_report import LIMIT
from notifications.take_bounce import take
from smtpprofiles.models import SmtpProfile

# What sendmail's successors take for "not now": the mail stays in their queue.
TRY_LATER = 75
_CHUNK = 64 * 1024


class Command(BaseCommand):
    """Takes in one mail."""

    help = "Read one bounce mail from standard input, as a mail server pipes it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --profile."""
        parser.add_argument(
            "--profile", required=True, help="the name of the SMTP profile whose bounces these are"
        )

    def handle(self, *, profile: str, **_: Any) -> None:
        """Exit 0 also where it was no bounce: the mail server need not know; 75 where it should try again."""
        raw = _read(sys.stdin.buffer)
        try:
            profiles = SmtpProfile.objects.defer(*SmtpProfile.secrets())
            found = profiles.filter(name=profile).first()
            if found is None:
                names = ", ".join(profiles.order_by("name").values_list("name", flat=True)[:20])
                raise CommandError(
                    f"There is no SMTP profile {profile!r}. There are: {names or 'none'}.",
                    returncode=TRY_LATER,
                )
            self.stdout.write(take(found, raw).told)
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database does not answer: {error}", returncode=TRY_LATER) from error


def _read(stream: BinaryIO) -> bytes:
    """Return the beginning; the rest is read and forgotten, as the mail server waits for it to be taken."""
    raw = stream.read(LIMIT)
    while stream.read(_CHUNK):
        pass
    return raw
