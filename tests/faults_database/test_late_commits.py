"""Fault 8: transactions that commit late, roll back, or give up a part; the plan decides every step."""

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from events.models import Event, InboxEntry, QuarantinedEvent
from events.publish import publish
from notifications import nudge
from notifications.fan_out import fan_out
from notifications.models import Delivery, Lane
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.faults_database.sessions import opened, speaking
from tests.model.mutations import Mutation, applied, assert_each_hit_one_statement

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 3
READ = "WHERE due_at IS NULL ORDER BY event_id LIMIT"
EMPTIED = ("notifications_delivery", "notifications_lane", "events_inboxentry", "events_event")
WHO = st.integers(0, WRITERS - 1)
KEY = st.integers(1, 2)
STEPS = st.one_of(
    st.tuples(st.just("publish"), WHO, KEY),
    st.tuples(st.just("publish"), WHO, KEY),
    st.tuples(st.just("publish at once"), WHO, KEY),
    st.tuples(st.just("savepoint"), WHO),
    st.tuples(st.just("undo savepoint"), WHO),
    st.tuples(st.just("commit"), WHO),
    st.tuples(st.just("commit"), WHO),
    st.tuples(st.just("roll back"), WHO),
    st.tuples(st.just("fan out"), st.sampled_from([1, 2, 1000]), st.just(False)),
    st.tuples(st.just("fan out"), st.sampled_from([1, 2, 1000]), st.booleans()),
)


class UndoError(Exception):
    pass


@dataclass
class Written:
    """One event, and when it was published and committed, in steps of the plan."""

    pk: int
    key: int
    began: int
    committed: int = 0


@dataclass
class Writer:
    """One session with its open blocks: the transaction, and savepoints in it."""

    session: BaseDatabaseWrapper
    blocks: list[transaction.Atomic] = field(default_factory=list)
    written: list[list[Written]] = field(default_factory=list)  # for each block, what it would lose

    def begin(self):
        block = transaction.atomic()
        block.__enter__()
        self.blocks.append(block)
        self.written.append([])

    def end(self, *, undo):
        """End the innermost block; return what has been committed by that."""
        block, written = self.blocks.pop(), self.written.pop()
        if undo:
            error = UndoError()
            block.__exit__(UndoError, error, None)
            return []
        block.__exit__(None, None, None)
        if self.blocks:
            self.written[-1] += written
            return []
        return written


class Plan:
    """Does the steps of one example, and keeps what was certain when."""

    def __init__(self, sessions):
        self.writers = [Writer(session) for session in sessions[:WRITERS]]
        self.sequencer = sessions[WRITERS]
        self.committed: list[Written] = []
        self.placed: dict[tuple[int, int], int] = {}
        self.now = 0

    def do(self, name, *arguments):
        self.now += 1
        if name == "fan out":
            self.fan_out(*arguments)
            return
        writer = self.writers[arguments[0]]
        with speaking(writer.session):
            if name in ("publish", "publish at once"):
                if name == "publish" and not writer.blocks:
                    writer.begin()
                self.publish(writer, arguments[1])
            elif name == "savepoint" and writer.blocks:
                writer.begin()
            elif name == "undo savepoint" and len(writer.blocks) > 1:
                writer.end(undo=True)
            elif name in ("commit", "roll back") and writer.blocks:
                while len(writer.blocks) > 1:
                    writer.end(undo=False)
                self.commit(writer.end(undo=name == "roll back"))

    def publish(self, writer, key):
        data = {"account": {"id": str(key)}, "invoice": {"id": str(self.now)}}
        written = Written(pk=publish("invoice.posted", data).event.pk, key=key, began=self.now)
        if writer.blocks:
            writer.written[-1].append(written)
        else:
            self.commit([written])

    def commit(self, written):
        for each in written:
            each.committed = self.now
        self.committed += written

    def fan_out(self, limit, dies):
        """Fan out; or die before the commit, as a killed sequencer does."""
        with speaking(self.sequencer):
            try:
                with transaction.atomic():
                    fan_out(limit=limit)
                    if dies:
                        raise UndoError
            except UndoError:
                return
        placed = {
            (lane, event): sequence
            for lane, event, sequence in Delivery.objects.values_list("lane_id", "event_id", "sequence")
        }
        assert self.placed.items() <= placed.items(), "a number once given is frozen"
        self.placed = placed

    def roll_back_the_rest(self):
        for writer in self.writers:
            with speaking(writer.session):
                while writer.blocks:
                    writer.end(undo=True)


def check(plan, subscriptions):
    lanes = defaultdict(dict)
    for lane, event, sequence in Delivery.objects.values_list("lane_id", "event_id", "sequence"):
        lanes[lane][event] = sequence
    keys = dict(Lane.objects.values_list("pk", "key"))
    for key in {each.key for each in plan.committed}:
        expected = {each.pk for each in plan.committed if each.key == key}
        found = [placed for lane, placed in lanes.items() if keys[lane] == f"account:{key}"]
        assert len(found) == subscriptions
        assert all(set(placed) == expected for placed in found), "what committed is there, and nothing else"
        assert all(placed == found[0] for placed in found), "one order in every lane of a key"
        assert sorted(found[0].values()) == list(range(1, len(expected) + 1)), "no gap and no double"
        overtaken = [
            (first.pk, second.pk)
            for first in plan.committed
            for second in plan.committed
            if first.key == second.key == key
            and first.committed < second.began
            and found[0][first.pk] > found[0][second.pk]
        ]
        assert overtaken == [], "what had committed before the other was published comes first"
    assert Event.objects.count() == len(plan.committed)
    assert not InboxEntry.objects.exists()
    assert not QuarantinedEvent.objects.exists()


def explore(examples, mutation=None):
    queue, other = QueueFactory(), QueueFactory()
    for each in (queue, queue, other):
        WebhookSubscriptionFactory(queue=each)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.generate] if mutation else list(Phase),
    )
    @given(steps=st.lists(STEPS, min_size=20, max_size=80))
    def holds(steps):
        with connection.cursor() as cursor:
            cursor.execute(";".join(f"DELETE FROM {table}" for table in EMPTIED))
        plan = Plan(sessions)
        try:
            for step in steps:
                plan.do(*step)
        finally:
            plan.roll_back_the_rest()
        while fan_out():
            pass
        check(plan, subscriptions=3)

    with opened(WRITERS + 1) as sessions, ExitStack() as stack:
        if mutation:
            stack.enter_context(applied([mutation]))
            with speaking(sessions[WRITERS]):
                stack.enter_context(applied([mutation]))
        holds()


@pytest.fixture(autouse=True)
def announced_at_once(monkeypatch):
    """Announcements go out at once, not from a timer's thread."""
    monkeypatch.setattr(nudge, "QUIET", 0.0)


def test_late_commits_rollbacks_and_savepoints_keep_the_order_of_commit(catalog):
    explore(40)


@pytest.mark.parametrize(
    "instead",
    [
        "WHERE due_at IS NULL ORDER BY event_id DESC LIMIT",
        """WHERE due_at IS NULL AND event_id > (SELECT coalesce(max(d.event_id), 0) FROM notifications_delivery d)
           ORDER BY event_id LIMIT""",
    ],
    ids=["newest first", "from where it left off"],
)
def test_a_sequencer_that_reads_the_inbox_otherwise_is_caught(catalog, instead):
    mutation = Mutation(replaces=READ, by=instead)
    with pytest.raises(AssertionError):
        explore(40, mutation)
    assert_each_hit_one_statement([mutation])


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_thousand_plans_of_late_commits_keep_the_order_of_commit(catalog):
    explore(1000)
