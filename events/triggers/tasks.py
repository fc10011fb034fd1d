"""What django-q2 runs for the triggers."""

from . import anchors, back_test, dormancy, prepare, prune
from .call import answer, call
from .evaluate import evaluate_inbox, waits

# Well under the task's timeout; what is left is the next task's, so that others get their turn.
BUDGET = 10.0  # seconds


def evaluate() -> int:
    """Look at what was reported, published and has fallen due; return how much it was."""
    answer()
    anchors.catch_up()
    back_test.end_interrupted()
    prepare.prepare(budget=BUDGET)
    looked = evaluate_inbox(budget=BUDGET)
    if prepare.waits() or waits():
        call()
    return looked


def scan() -> int:
    """Look for what has been silent for too long; return how many events that came to."""
    return dormancy.scan_all()


def find_woken() -> int:
    """Tell of what was silent and is used again; return how many."""
    return dormancy.find_woken()


def clean_up() -> int:
    """Remove what retention no longer keeps; return how many rows."""
    return prune.prune()


def run_back_test(pk: int) -> None:
    """Carry out a back-test, or go on with one that was interrupted."""
    back_test.go_on(pk)
