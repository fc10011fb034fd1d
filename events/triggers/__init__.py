"""Rules that turn changes, time and absence into events. docs/triggers.md tells their promises.

1. A report is never in the way of a rule, nor a rule of a report: rules look at what is committed.
2. A firing is a row under a unique key, written in one transaction with its event: whatever is done twice,
   by however many processes, fires once.
3. Every evaluation that mattered leaves a row in the ledger.
"""

from .evaluate import evaluate_inbox

__all__ = ["evaluate_inbox"]
