"""The engine under every order of steps that hypothesis can think of: workers, crashes, zombies, operators."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from notifications.models import Delivery

from . import worker
from .world import ANSWERS, LONG, World

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = {"retry": worker.retry, "skip": worker.skip, "cancel": worker.cancel}
# Accepted more often than all else together; what stops a whole endpoint is a step of its own.
RARE = ("gone", "asked to wait")
REPLIES = st.sampled_from(["accepted"] * len(ANSWERS) + [name for name in ANSWERS if name not in RARE])
ACCOUNTS = st.lists(st.integers(1, 3), min_size=1, max_size=3)
BY = st.integers(0, 2)
PICK = st.integers(0, 63)
PICKS = st.lists(st.tuples(PICK, REPLIES), min_size=1, max_size=16)


class Steps:
    """What can happen; each method is one step, and World judges it."""

    def __init__(self, subscriptions: int) -> None:
        self.world = World.empty(subscriptions=subscriptions)

    def publish(self, accounts):
        self.world.publish(*accounts)

    def sequence(self, limit):
        worker.fan_out(limit=limit)

    def lease(self, by, limit):
        self.world.workers[by].lease(limit)

    def fetch(self, by, room):
        self.world.workers[by].fetch(room)

    def send(self, by, picks):
        each = self.world.workers[by]
        for pick, reply in picks:
            if running := each.running:
                self.world.send(each, running[pick % len(running)], ANSWERS[reply])

    def settle(self, by):
        self.world.settle(self.world.workers[by])

    def release(self, by):
        self.world.workers[by].release()

    def work(self, by, accounts, picks):
        """A whole round, so that examples get somewhere."""
        each = self.world.workers[by]
        self.world.publish(*accounts)
        worker.fan_out()
        each.lease(8)
        each.fetch(2)
        self.send(by, picks)
        self.world.settle(each)
        each.fetch(1)
        each.release()

    def expire(self, by, pick):
        leases = list(self.world.workers[by].leases.values())
        if leases:
            self.world.expire(leases[pick % len(leases)])

    def crash(self, by, is_noticed):
        """A worker dies; `is_noticed` says whether its leases have run out by now."""
        leases = list(self.world.workers[by].leases.values())
        self.world.crash(by)
        for lease in leases if is_noticed else []:
            self.world.expire(lease)

    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    def operate(self, verb, pick):
        ids = Delivery.objects.exclude(status="delivered").order_by("pk").values_list("pk", flat=True)
        if ids:
            VERBS[verb](ids[pick % len(ids)])

    def stop(self, by, pick, reply):
        """An answer stops a whole endpoint."""
        self.send(by, [(pick, reply)])

    def resume(self):
        worker.resume()


def _step(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


# One rule for all: hypothesis leaves out some rules of each example, and without most of these nothing happens.
STEPS = st.one_of(
    _step("work", by=BY, accounts=ACCOUNTS, picks=PICKS),
    _step("work", by=BY, accounts=ACCOUNTS, picks=PICKS),
    _step("publish", accounts=ACCOUNTS),
    _step("sequence", limit=st.sampled_from([1, 3, 1000])),
    _step("lease", by=BY, limit=st.sampled_from([1, 8])),
    _step("fetch", by=BY, room=st.integers(1, 3)),
    _step("send", by=BY, picks=PICKS),
    _step("send", by=BY, picks=PICKS),
    _step("stop", by=BY, pick=PICK, reply=st.sampled_from(RARE)),
    _step("settle", by=BY),
    _step("release", by=BY),
    _step("expire", by=BY, pick=PICK),
    _step("crash", by=BY, is_noticed=st.booleans()),
    _step("time_passes", seconds=st.sampled_from([1.0, 60.0, LONG])),
    _step("operate", verb=st.sampled_from(sorted(VERBS)), pick=PICK),
    _step("resume"),
)


class Engine(RuleBasedStateMachine):
    """Steps in any order, all promises checked after each, and a drain at the end."""

    subscriptions = 0

    @initialize(accounts=ACCOUNTS)
    def begin(self, accounts):
        self.steps = Steps(self.subscriptions)
        self.steps.publish(accounts)

    @rule(step=STEPS)
    def step(self, step):
        name, arguments = step
        getattr(self.steps, name)(**arguments)
        self.steps.world.check()

    def teardown(self):
        if hasattr(self, "steps"):
            self.steps.world.drain()


def explore(subscribed, *, examples, steps=40, is_repeatable=False):
    machine = type("Engine", (Engine,), {"subscriptions": len(subscribed)})
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=is_repeatable,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(machine, settings=profile)


def test_every_order_of_steps_keeps_what_the_engine_promises(subscribed):
    # The same orders each time; the long form looks for others.
    explore(subscribed, examples=30, is_repeatable=True)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_fifty_times_as_many_orders_of_steps_keep_what_the_engine_promises(subscribed):
    explore(subscribed, examples=1500)
