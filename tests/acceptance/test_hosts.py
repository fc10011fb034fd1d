"""Several clusters on one database, as several hosts: they join, leave, die and stand still independently."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from events.publish import publish
from notifications.models import Attempt, Cluster, Delivery, Runner
from tests.acceptance.test_stop import cluster, end, processes, wait_until
from tests.factories import WebhookSubscriptionFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's processes through /proc"),
]


def started(process) -> dict[str, object]:
    """Return since when each cluster of this supervisor runs, once both have proved themselves."""
    rows = Cluster.objects.filter(address__contains=f":{process.pid}:")
    return {row.queue: row.started_at for row in rows if row.proven_at > row.started_at}


def idle_workers(process) -> list[int]:
    """Return the delivery workers of this supervisor that drain nothing now."""
    busy = set(Runner.objects.values_list("pid", flat=True))
    return [pid for pid in processes(process.mark) if pid not in busy and role(pid) == "worker"]


def role(pid: int) -> str:
    """Tell a worker by its parent's parent being the main process: the pusher and the monitor come after it."""
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    if b"Q_CLUSTER_NAME=delivery" not in environment:
        return ""
    siblings = sorted(
        other for other in map(int, re.findall(r"\d+", children(parent(pid)))) if parent(other) == parent(pid)
    )
    return "worker" if len(siblings) >= 4 and pid in siblings[:-2] else ""


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_a_cluster_that_stands_still_is_started_anew_though_another_one_delivers(
    catalog, https_receiver
) -> None:
    WebhookSubscriptionFactory()
    with cluster() as ours, cluster() as others:
        wait_until(lambda: len(started(ours)) == len(started(others)) == 2, 60)
        before, others_before = started(ours), started(others)
        wait_until(lambda: idle_workers(ours), 30)
        for pid in idle_workers(ours):  # One of them holds the lock of the queue.
            os.kill(pid, signal.SIGKILL)

        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
        assert https_receiver.wait_for(1, 30), "the other one goes on"
        wait_until(lambda: started(ours).get("delivery", before["delivery"]) != before["delivery"], 60)
        assert started(ours)["default"] == before["default"], "its other cluster was left alone"
        assert started(others) == others_before

        end(others, whole_group=False)
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "2"}})
        assert https_receiver.wait_for(2, 30), "it delivers again, and alone"
        end(ours, whole_group=False)

    assert Delivery.objects.filter(status="delivered").count() == 2
    assert Attempt.objects.count() == 2
