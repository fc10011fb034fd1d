"""Fault 13: a payload that kills the worker that sends it."""

import os
import random
import signal
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from notifications import operate
from notifications.engine import Engine
from notifications.models import Attempt, Delivery
from tests.faults.ledger import Line
from tests.faults.scene import conclude, publish_events, subscribe, worker
from tests.servers import RECEIVER, HttpsReceiver

pytestmark = pytest.mark.django_db(transaction=True)

LANES = 4
EVENTS = 60
DEATHS = 3  # and the delivery is held


@dataclass
class Killer:
    """Answers as usual, and kills the worker that sends the poison; keeps a ledger of both."""

    poison: str = ""  # an event's public id
    in_lane: bool = True  # whether it is the delivery in order that kills, or the one in any order
    victim: int = 0
    heard: list[Line] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request):
        if len(request.body) < int(request.headers.get("content-length", 0)):
            return _end  # its worker was killed in the middle of it
        with self.lock:
            arrived = time.monotonic()
            headers = request.headers
            sequence = headers.get("bellwether-sequence")
            event = request.body.split(b'"id": "', 1)[1].split(b'"', 1)[0].decode()
            is_poison = event == self.poison and bool(sequence) == self.in_lane
            self.heard.append(
                Line(
                    number=len(self.heard) + 1,
                    webhook_id=headers["webhook-id"],
                    event_id=event,
                    host=RECEIVER,
                    path=request.path,
                    lane=headers.get("bellwether-lane", ""),
                    sequence=int(sequence) if sequence else None,
                    answer="killed" if is_poison else "204",
                    arrived=arrived,
                    answered=time.monotonic(),
                )
            )
            if is_poison:
                os.kill(self.victim, signal.SIGKILL)
        return _end if is_poison else (204, {}, b"")

    def lines(self):
        return list(self.heard)


def _end(_sock: ssl.SSLSocket) -> None:
    """Answer nothing."""


def poison_workers(receiver: HttpsReceiver, *, in_lane: bool, seed: int) -> None:
    """Let workers die of one delivery until it is held; all else arrives, in its lane once an operator skips it."""
    chance = random.Random(seed)
    for ordered in (True, False):
        subscribe([RECEIVER], ordered=ordered)
    killer: Any = Killer(in_lane=in_lane)  # to `conclude` it is a ledger
    receiver.script = killer
    published = publish_events(EVENTS, lanes=LANES)
    killer.poison = published[chance.randrange(EVENTS)]
    for _ in range(DEATHS):
        with worker() as mortal:
            killer.victim = mortal.process.pid
            mortal.process.wait(60)
            mortal.kill()
            mortal.expire_leases()
    Engine(until_idle=True).run()

    guilty = Delivery.objects.get(hold_cause="crashed")
    assert (guilty.event.public_id, guilty.crash_count, guilty.lane_id is not None) == (
        killer.poison,
        DEATHS,
        in_lane,
    )
    assert [each.verdict for each in Attempt.objects.filter(delivery=guilty)] == ["crashed"] * DEATHS
    others = Delivery.objects.exclude(pk=guilty.pk)
    behind = others.filter(lane__blocked_by=guilty, sequence__gt=guilty.sequence or 0)
    assert others.exclude(pk__in=behind).exclude(status="delivered").count() == 0, "the neighbours went on"
    counted = others.filter(crash_count__gt=0)
    assert set(counted.values_list("status", flat=True)) <= {"retrying"}, "what is delivered is innocent"
    assert max(others.values_list("crash_count", flat=True)) < DEATHS, "alone, only the guilty was counted"

    if in_lane:
        operate.skip([guilty.pk], AnonymousUser())
        Engine(until_idle=True).run()

    assert set(others.values_list("status", flat=True)) == {"delivered"}
    conclude("13 poison", killer, published=published, deliveries_each=2, runs=1, seed=seed)


def test_a_payload_that_kills_workers_is_held_after_the_third_and_costs_no_other(catalog, https_receiver):
    poison_workers(https_receiver, in_lane=True, seed=7)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("in_lane", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_wherever_the_poison_is_it_costs_no_other(catalog, https_receiver, in_lane, seed):
    poison_workers(https_receiver, in_lane=in_lane, seed=seed)
