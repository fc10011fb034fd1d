"""The loop of one worker: fan out, take, send, settle, until its budget ends.

The loop's thread does the rendering and all SQL but settling, which goes on beside it (clerk.py); the sending
threads do none. See docs/engine.md for the properties this keeps.
"""

import gc
import os
import socket
import time
from collections.abc import Callable
from functools import cache

import structlog
from django.conf import settings
from django.db import Error, connection

from events.away import is_away
from events.ids import uuid7

from .agenda import read_agenda
from .books import FLUSH_AFTER
from .fan_out import BATCH, fan_out
from .holdings import Holdings
from .runners import Registration
from .standstill import ends_when_still
from .waiting import DELIVERIES, FOR_OTHERS, HUNGRY, Waiter

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0  # seconds between looks into the inbox while busy, should an announcement be lost
LOOK_SOON = 0.25  # seconds between looks for sends to take while another worker fans out
LONGEST_WAIT = 5.0  # seconds between looks while idle
PATIENCE = 30.0  # seconds to end sends and reach the database when the loop is over


class Engine:
    """One worker, with its own threads and connections."""

    def __init__(
        self,
        *,
        budget: float | None = None,
        until_idle: bool = False,
        hand_over: Callable[[], None] = lambda: None,
    ) -> None:
        """`budget` in seconds, None to run until stopped; `until_idle` ends it once nothing is due.

        `hand_over` is called when the worker takes nothing more and its last sends are still under way.
        """
        self._hand_over = hand_over
        self._budget = budget
        self._until_idle = until_idle
        self._waiter = Waiter()
        self._registration = Registration()
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid7().hex[-8:]}"
        self._holdings = Holdings(owner, on_report=self._waiter.report)
        self._stopping = False
        self._announced = True
        self._has_more = False  # the last look into the inbox may have left some
        self._is_outdone = False  # another worker fans out just now
        self._looked = 0.0

    def stop(self) -> None:
        """Ask the loop to end; sends under way finish and are settled. Safe in a signal handler."""
        self._stopping = True
        self._waiter.report()

    def run(self) -> int:
        """Work until the budget or the work ends; return how many tries were settled."""
        _look_for_garbage_seldom()
        with ends_when_still():
            try:
                self._work()
                has_left = self._leave()
                self._finish()
                if not has_left:
                    self._leave()
            except Exception:
                self._save_what_is_known()
                raise
            finally:
                self._holdings.close()
                self._waiter.close()
        return self._holdings.settled

    def _work(self) -> None:
        ends = time.monotonic() + self._budget if self._budget is not None else float("inf")
        while not self._stopping and time.monotonic() < ends:
            try:
                self._waiter.listen()
                if self._registration.beat(now=self._waiter.heard_stop):
                    return
                pause = self._step()
                if pause is None:
                    continue
                if self._until_idle and pause > 0 and not (self._holdings.leases or self._is_outdone):
                    return
            except Error as error:
                pause = self._reconnect(error)
            self._hear(self._waiter.wait(min(pause, ends - time.monotonic())))

    def _hear(self, heard: set[str]) -> None:
        if DELIVERIES in heard:
            self._holdings.look_again()
        if HUNGRY in heard:
            self._holdings.share()
        self._announced |= bool(heard - FOR_OTHERS)

    def _leave(self) -> bool:
        """Hand over, registered no more: a last slow send must not keep others from starting.

        False where the database is away, which must not keep us from settling once it is back.
        """
        try:
            self._registration.end()
            self._hand_over()
        except Error as error:
            self._reconnect(error)
            return False
        return True

    def _step(self) -> float | None:
        """Do what can be done now; return how long to wait, or None to go on at once."""
        holdings = self._holdings
        look_every = LOOK_SOON if self._is_outdone else LOOK_EVERY
        if self._announced or time.monotonic() - self._looked > look_every:
            self._announced = self._is_outdone = False
            self._looked = time.monotonic()
            if self._has_more or read_agenda().has_events:
                done = fan_out(waits=False)
                self._announced = self._has_more = done == BATCH
                # Another worker is at it, and hears of what comes meanwhile: to wait for it would leave our
                # threads without work.
                self._is_outdone = done is None
            if not self._is_outdone:
                holdings.look_again()
        holdings.collect()
        taken = holdings.take()
        holdings.settle()
        holdings.release()
        if taken:
            return None
        if holdings.leases:
            return FLUSH_AFTER
        if self._is_outdone:
            return LOOK_SOON
        agenda = read_agenda()
        if agenda.next_in <= 0:
            self._announced = True
            return None
        if agenda.next_channel_in is not None and agenda.next_channel_in < settings.DELIVERY_LEASE_SECONDS:
            holdings.ask()  # it may be the end of a lease
        return min(agenda.next_in, LONGEST_WAIT)

    def _save_what_is_known(self) -> None:
        """After a bug of ours: write down what was sent, and give back the rest, before the worker ends."""
        try:
            self._registration.end()
            self._finish()
        except Exception:
            log.exception("not everything was settled; its leases run out")

    def _finish(self) -> None:
        """Let the sends under way end, settle them, and give everything back."""
        holdings = self._holdings
        holdings.stop()
        gives_up = time.monotonic() + PATIENCE
        while True:
            try:
                holdings.collect()
                holdings.settle(now=True)
                if not holdings.is_sending:
                    holdings.release(everything=True)
                    return
                self._waiter.wait(FLUSH_AFTER)
            except Error as error:
                if time.monotonic() > gives_up:
                    raise
                time.sleep(self._reconnect(error))

    def _reconnect(self, error: Error) -> float:
        """Drop a connection that failed; what was not settled is settled again on the next one.

        Any other fault of a statement is raised.
        """
        if not is_away(error):
            raise error
        log.warning("database connection lost", error=str(error).strip())
        connection.close()
        self._announced = True
        return 0.5


@cache
def _look_for_garbage_seldom() -> None:
    """Once in a process, leave what it was born with out of the search, and search after every 20,000 objects.

    Else a tenth of a worker's time is spent on looking through all of Django again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
