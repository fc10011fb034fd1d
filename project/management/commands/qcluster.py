"""`manage.py qcluster`: one of django-q2's clusters, made to end in time; see `project.hardened`."""

import logging
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django_q.conf import Conf

from notifications.checks import TO_DELIVER
from notifications.runners import CLUSTER_VARIABLE, new_name
from project.hardened import Cluster


class Command(BaseCommand):
    """Takes the place of django-q2's own command."""

    help = "Run one queue's cluster, which nothing watches; `manage.py cluster` runs both, and watches them."
    requires_system_checks = TO_DELIVER

    def add_arguments(self, parser: ArgumentParser) -> None:
        """As in the stock command, whose -n comes too late for django-q2 to heed it."""
        parser.add_argument("-n", "--name", dest="name", help="must be what Q_CLUSTER_NAME says")

    def handle(self, *, name: str | None, **_: Any) -> None:
        """Run until SIGTERM or Ctrl-C; exit 0 only if it stopped in good order."""
        if name and name != Conf.CLUSTER_NAME:
            raise CommandError(f"Set Q_CLUSTER_NAME={name} in the environment instead.")
        if CLUSTER_VARIABLE not in os.environ:
            os.environ[CLUSTER_VARIABLE] = new_name()
            self.stderr.write(
                "Nothing watches this cluster: `manage.py cluster` starts it anew should it stand still."
            )
        connections.close_all()
        status = Cluster(known_as=os.environ[CLUSTER_VARIABLE]).run()
        logging.shutdown()
        # Whatever is left is the kernel's to kill; an orderly exit would wait for it.
        os._exit(status)
