"""One demonstration: the sample rows, the receivers, the events, and the judgement."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from events.models import Event
from notifications.nudge import start_drain
from notifications.runners import count_alive

from .board import Board
from .configuration import Configuration, configure
from .expected import Known, known
from .hooks import Hooks
from .letters import LETTERS
from .mailbox import Letterhead, Mailbox
from .payloads import drafts
from .posting import Posting
from .receivers import receivers
from .tally import Tally, tally
from .verdict import Verdict, judge

# From the first POST to the last arrival; the target is a few seconds.
LIMIT = 60.0
# For the delivery workers to come up; without them, posting goes on all the same.
_WARM_UP = 15.0
_AFTERTHOUGHT = 2.0
_FAULTS_SHOWN = 20
# Keeps the supervisor's processes alive until the condition holds; False when asked to stop.
Watch = Callable[[Callable[[], bool]], bool]


class Demo:
    """Use it in this order: `prepared` around the product's whole life, then `play` once it answers."""

    def __init__(self, *, var_dir: Path, write: Callable[[str], None], is_terminal: bool) -> None:
        self._folder = var_dir / "demo"
        self._write = write
        self._is_terminal = is_terminal
        self._known = Known()

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, str]]:
        """Save the sample rows and run the receivers; yield the environment of the product's processes."""
        if _others_connected():
            self._write(
                "Another program uses this database. Should it be a Bellwether, stop it: its workers would take "
                "deliveries that only ours can bring to the demo's receivers.\n"
            )
        self._configuration = configure()
        self._hooks = Hooks({each.url: each.secret for each in self._configuration.endpoints})
        self._mailbox = Mailbox()
        with receivers(self._configuration, self._hooks, self._mailbox, folder=self._folder) as environment:
            given = {"OWNER_NAME", "OWNER_NAME_FILE"} & set(os.environ)
            yield environment if given else {**environment, "OWNER_NAME": "Example Telecom"}

    def play(self, url: str, watch: Watch) -> Verdict:
        """Post every kind of event, show how it arrives, and judge; ends early when `watch` says so."""
        self._warm_up(watch)
        last = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        # Accounts are numbered by the events so far, so that every run has lanes of its own.
        first = 1001 + last
        wanted = list(drafts(first, timezone.now().date()))
        kinds = Counter(draft.type for draft in wanted)
        posting = Posting(url, self._configuration.api_key, wanted, run=f"demo-{first}")
        board = Board(self._write, is_terminal=self._is_terminal, kinds=len(kinds))
        self._write(f"\nPosting {len(wanted)} events of {len(kinds)} kinds to {url}/api/v1/events/\n\n")
        begun = time.monotonic()
        gives_up = begun + LIMIT

        def is_over() -> bool:
            nonlocal gives_up
            result = self._look(posting, kinds)
            board.show(result)
            if posting.is_done and result.known.is_at_rest:
                # Nothing more will be sent; what was sent may still be on its way through a receiver.
                gives_up = min(gives_up, time.monotonic() + _AFTERTHOUGHT)
            return (posting.is_done and result.is_complete) or time.monotonic() > gives_up

        with posting.running():
            ended = watch(is_over)
        result = self._look(posting, kinds)
        board.finish(result)
        verdict = judge(
            result,
            posted=posting.posted(),
            callouts=self._hooks.callouts(),
            refusals=self._hooks.faults(),
            letterheads=_letterheads(self._configuration),
            shown=self._configuration.shown,
            seconds=_last_arrival(result, begun) - begun,
        )
        stopped = f"\nStopped after {len(posting.posted())} of {len(wanted)} events.\n"
        self._write(_told(verdict) if ended else stopped)
        return verdict

    def invite(self, url: str, *, is_first: bool) -> None:
        """Say how to sign in, and what to look at."""
        admin = User.objects.filter(is_superuser=True, is_active=True).order_by("id").first()
        name = admin.get_username() if admin else "admin"
        sign_in = (
            f"Sign in as {name} with the password shown above."
            if is_first
            else f"Sign in as {name}; a new password: `uv run manage.py changepassword {name}`."
        )
        self._write(
            f"\n{sign_in} Then look at\n"
            f"  {url}/admin/notifications/delivery/       what was sent, its attempts and answers\n"
            f"  {url}/admin/notifications/subscription/   who is told of what\n"
            f"  {url}/admin/notifications/emailtemplate/  the mails\n"
            f"  {url}/api/v1/docs/                        the API\n"
            "The receivers stay up: publish more, and it is delivered. An endpoint of your own can be on\n"
            f"{self._configuration.endpoints[0].base_url}, with any other path: it answers 204. "
            "Ctrl-C stops everything.\n"
        )

    def _look(self, posting: Posting, kinds: Mapping[str, int]) -> Tally:
        """Count anew; while the database cannot be reached, what it said last stands."""
        posted = posting.posted()
        try:
            self._known = known(posted, self._configuration)
        except (OperationalError, InterfaceError):
            connection.close()
        return tally(
            wanted=kinds,
            posted=posted,
            known=self._known,
            callouts=self._hooks.callouts(),
            arrivals=self._mailbox.arrivals(),
        )

    def _warm_up(self, watch: Watch) -> None:
        """Wait for a delivery worker, so that the times shown are those of a product that runs."""
        # Its "Enqueued" would stand between the lines that are meant for people.
        logging.getLogger("django-q").setLevel(logging.WARNING)
        start_drain()
        gives_up = time.monotonic() + _WARM_UP
        watch(lambda: count_alive() > 0 or time.monotonic() > gives_up)


def _others_connected() -> bool:
    """Whether anybody else is connected, before our own processes are."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
               AND backend_type = 'client backend' AND pid <> pg_backend_pid())"""
        )
        return bool(cursor.fetchone()[0])


def _told(verdict: Verdict) -> str:
    """Return the outcome in words: one sentence, or what is wrong."""
    count = verdict.summary
    if verdict.is_good:
        return (
            f"\nEvery event arrived in {count['seconds']} s: {count['webhooks_verified']} webhooks, verified by "
            f"an independent library, and {count['emails_received']} mails, all in order.\n"
        )
    shown = [f"  - {fault}\n" for fault in verdict.faults[:_FAULTS_SHOWN]]
    more = len(verdict.faults) - len(shown)
    return "".join(
        ["\nNot everything is as it should be:\n", *shown, f"  … and {more} more.\n" if more else ""]
    )


def _letterheads(configuration: Configuration) -> dict[str, Letterhead]:
    """Return, by event type, what its mails must show of the profile by which they leave."""
    profiles = {letter.event_type: configuration.profiles[letter.profile] for letter in LETTERS}
    return {
        event_type: Letterhead(
            profile=profile.name,
            from_name=profile.from_name,
            from_address=profile.from_address,
            username=profile.username,
        )
        for event_type, profile in profiles.items()
    }


def _last_arrival(result: Tally, begun: float) -> float:
    """Return when all was there; now, if something is missing."""
    if not result.is_complete:
        return time.monotonic()
    callouts = [came[0].at for came in result.callouts.values()]
    mails = [came[0].at for came in result.mails.values()]
    return max([*callouts, *mails], default=begun)
