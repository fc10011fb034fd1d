"""More work than can be sent: how fast the healthy endpoints' share is delivered."""

import time
from typing import Any

from django.db import connection, transaction

from tests.bench import offer, receiver
from tests.bench.isolation_scene import ALL_AT_ONCE, ENDPOINTS, FIRST_CONTACT, HEALTHY, Scene, queues, staged
from tests.bench.receiver import Receiver
from tests.bench.recorder import Recorder
from tests.bench.run import Run

_EACH_OTHER = 20  # events to each endpoint that may hang


def observe(run: Run, scene: Scene, recorder: Recorder, accepting: Receiver) -> dict[str, dict[str, float]]:
    """Return the healthy endpoints' deliveries a second, from the second second on, by scene."""
    lasting, count = run.scale(12, 6), run.scale(16_000, 6_000)
    healthy, others = queues()
    # The healthy ones are on the fast receiver, the others on the one that can be told to hang.
    ways = receiver.connect_to(accepting.port, HEALTHY).split(",")
    ways += receiver.connect_to(recorder.port, ENDPOINTS).split(",")[HEALTHY:]
    environment = {"OUTBOUND_CONNECT_TO": ",".join(ways), "OUTBOUND_CA_BUNDLE": str(accepting.ca_bundle)}
    with staged(run, scene, recorder, environment) as workers:
        if not scene.from_the_start:
            offer.drain([*healthy, *others], 2 * ENDPOINTS, workers=workers, receiver=None)
        if scene == ALL_AT_ONCE:
            recorder.hang(HEALTHY)
        with transaction.atomic():
            given = offer.drafts(others, _EACH_OTHER * len(others)) + offer.drafts(healthy, count)
            offer.publish_all(given)
            began = offer.now()
        gives_up = time.monotonic() + lasting
        while (left := _left(healthy)) and time.monotonic() < gives_up:
            time.sleep(0.1)
        workers.check()
        figures = {"rate": _rate(healthy, began + 1.0, offer.now() if left else _last(healthy))}
    wanted = [scene.name] if scene.hangs else [FIRST_CONTACT.name, ALL_AT_ONCE.name]
    return dict.fromkeys(wanted, figures)


_OF_THEM = """FROM notifications_delivery d JOIN notifications_subscription s ON s.id = d.subscription_id
    JOIN events_queue q ON q.id = s.queue_id WHERE q.name = ANY(%s) AND d.status = 'delivered'"""


def _left(healthy: list[str]) -> bool:
    """Whether any of the healthy endpoints' events is still to be delivered."""
    return bool(
        _one(
            """SELECT EXISTS (SELECT FROM events_inboxentry) OR EXISTS (
             SELECT FROM notifications_delivery d JOIN notifications_subscription s ON s.id = d.subscription_id
             JOIN events_queue q ON q.id = s.queue_id
             WHERE q.name = ANY(%s) AND d.status IN ('pending', 'retrying'))""",
            [healthy],
        )
    )


def _rate(healthy: list[str], since: float, until: float) -> float:
    count = _one(
        f"SELECT count(*) {_OF_THEM} AND settled_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)",
        [healthy, since, until],
    )
    return float(count / max(until - since, 0.001))


def _last(healthy: list[str]) -> float:
    return float(_one(f"SELECT extract(epoch FROM max(settled_at))::float8 {_OF_THEM}", [healthy]))


def _one(sql: str, parameters: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]
