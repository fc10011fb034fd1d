"""A process that evaluates triggers until it is killed."""

import time

import django

django.setup()

from events.triggers import evaluate_inbox  # noqa: E402

while True:
    if not evaluate_inbox(budget=5):
        time.sleep(0.01)
