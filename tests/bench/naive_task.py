"""The naive baseline: one django-q2 task for each callout.

`python -m tests.bench.naive_task COUNT BYTES` queues so many in one transaction, and says the monotonic
time of its commit.
"""

import os
import sys
import time

import django
import requests

_HEADERS = {"Content-Type": "application/json", "webhook-id": "dlv_01a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6"}
_URL = os.environ.get("BENCH_URL", "")
_CA_BUNDLE = os.environ.get("BENCH_CA_BUNDLE", "")
_session = requests.Session()
_session.trust_env = False
_session.verify = _CA_BUNDLE


def post(body: str) -> int:
    """Send one callout on a connection of its own."""
    response = requests.post(_URL, data=body, headers=_HEADERS, timeout=15, verify=_CA_BUNDLE)
    response.raise_for_status()
    return response.status_code


def post_in_session(body: str) -> int:
    """Send one callout on the connection that this process keeps."""
    response = _session.post(_URL, data=body, headers=_HEADERS, timeout=15)
    response.raise_for_status()
    return response.status_code


def _main(count: int, size: int) -> None:
    django.setup()
    from django.db import transaction
    from django_q.tasks import async_task

    function = "post_in_session" if os.environ["BENCH_NAIVE"] == "tuned" else "post"
    with transaction.atomic():
        for _ in range(count):
            async_task(f"tests.bench.naive_task.{function}", "x" * size)
    sys.stdout.write(f"{time.monotonic()}\n")


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
