"""The settings of the naive baseline's cluster: django-q2 with its ORM broker, as it comes or tuned."""

import os

from project.settings import *  # noqa: F403
from project.settings import DATABASES, LOGGING

TUNED = os.environ["BENCH_NAIVE"] == "tuned"

# Without `timeout` and `retry` django-q2 warns; all else is its default, or what tuning it amounts to.
Q_CLUSTER = {"name": "naive", "orm": "default", "workers": 2, "timeout": 60, "retry": 120}
if TUNED:
    Q_CLUSTER |= {"save_limit": -1, "bulk": 10}
DATABASES["default"].update(
    CONN_MAX_AGE=None if TUNED else 0,
    CONN_HEALTH_CHECKS=False,
)
# Not a line for each task.
LOGGING["loggers"]["django-q"] = {"level": "WARNING"}
# They ask for the product's own cluster, which is not what is measured here.
SILENCED_SYSTEM_CHECKS = [
    "notifications.E002",
    "notifications.E003",
    "notifications.E004",
    "notifications.E010",
]
