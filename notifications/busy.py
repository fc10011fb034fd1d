"""Say which workers do a task now: it excuses a cluster that answers no beat for as long as they live."""

import os
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.dispatch import receiver
from django_q.conf import Conf
from django_q.signals import post_execute_in_worker, pre_execute

from .broker import address
from .pulse import BEAT
from .runners import CLUSTER_VARIABLE

log = structlog.get_logger(__name__)


@receiver(pre_execute)
def note_begin(task: dict[str, Any], **_: Any) -> None:
    """This process does a task."""
    _note(task, "array_append(busy_pids, %s)")


@receiver(post_execute_in_worker)
def note_end(task: dict[str, Any], **_: Any) -> None:
    """This process has done it."""
    _note(task, "array_remove(busy_pids, %s)")


def _note(task: dict[str, Any], change: str) -> None:
    cluster = os.environ.get(CLUSTER_VARIABLE, "")
    if not cluster or task["func"] == BEAT:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE notifications_cluster SET busy_pids = {change} WHERE address = %s",  # noqa: S608
                [os.getpid(), address(Conf.CLUSTER_NAME, cluster)],
            )
    except (DatabaseError, InterfaceError) as error:
        # Raised, it would end the worker.
        log.warning("task not noted", error=str(error).strip())
        connection.close()
