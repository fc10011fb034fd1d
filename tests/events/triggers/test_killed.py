"""Evaluators killed with SIGKILL while they look at changes: nothing is lost, and nothing fires twice."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from django.db import connection

from events import objects
from events.models import Change, Event, Firing, LedgerEntry, TriggerDay
from events.report import Report
from tests import processes
from tests.workers import until

from .conftest import Rules

STATES = ("Active", "Suspended")
EVALUATOR = [sys.executable, "-m", "tests.events.triggers.evaluator"]


def begin() -> subprocess.Popen[bytes]:
    environment = processes.environment() | {"DJANGO_SETTINGS_MODULE": "project.settings"}
    return subprocess.Popen(EVALUATOR, cwd=processes.ROOT, env=environment)


def waiting() -> int:
    return Change.objects.filter(evaluated_at=None).count()


def kill_evaluators(rules: Rules, *, kills: int, services: int, seed: int) -> None:
    """Report and kill by turns; two evaluators at a time, of which one is killed while changes wait."""
    chance = random.Random(seed)
    trigger = rules("change", [("state", "from_to", "Active", "Suspended")])
    running = [begin(), begin()]
    mid_work = 0
    try:
        for _ in range(kills):
            for state in STATES:
                told = {"state": state, "account": {"id": "1"}}
                objects.report_many(
                    [Report(kind="service", external_id=str(n), state=told) for n in range(services)]
                )
            before = waiting()
            assert until(lambda before=before: waiting() < before or not before)
            time.sleep(chance.random() * 0.3)
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            mid_work += waiting() > 0
            running.append(begin())
        assert until(lambda: not waiting(), 120)
    finally:
        for each in running:
            each.kill()
            each.wait()
    expected = kills * services
    changes = Counter(Firing.objects.filter(trigger=trigger).values_list("period", flat=True))
    assert (len(changes), set(changes.values())) == (expected, {1})
    assert Event.objects.count() == expected
    assert len(set(Firing.objects.values_list("event_id", flat=True))) == expected
    fired = LedgerEntry.objects.filter(trigger=trigger, event_id__isnull=False)
    assert len(set(fired.values_list("change_id", flat=True))) == fired.count() == expected
    assert (
        sum(TriggerDay.objects.filter(outcome__in=["fired", "inactive"]).values_list("count", flat=True))
        == expected
    )
    assert mid_work, "no evaluator was killed in the middle of its work: give it more"


@pytest.fixture
def clean(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE events_change")


@pytest.mark.usefixtures("clean")
def test_evaluators_killed_in_the_middle_lose_nothing_and_fire_nothing_twice(rules: Rules) -> None:
    kill_evaluators(rules, kills=2, services=150, seed=7)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("clean")
def test_sixty_kills_of_evaluators_lose_nothing(rules: Rules) -> None:
    kill_evaluators(rules, kills=60, services=300, seed=random.randrange(1_000_000))
