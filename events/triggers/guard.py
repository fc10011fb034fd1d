"""Run a rule so that its fault hurts nobody else."""

from collections.abc import Callable
from typing import Any

import structlog
from django.db import transaction

from events.away import is_away

from .ledger import Ledger, Outcome
from .odd import sentence
from .rules import Rule

log = structlog.get_logger(__name__)


def guarded(rule: Rule, ledger: Ledger, where: dict[str, Any], look: Callable[[], None]) -> str:
    """Run it in a savepoint; a fault is rolled back, noted in the ledger and returned as text, else empty.

    A lost connection is not the rule's fault and is raised: the whole batch is done again.
    """
    mark = ledger.mark()
    try:
        with transaction.atomic():
            look()
    except Exception as error:
        if is_away(error):
            raise
        log.exception("trigger failed", trigger=rule.row.name)
        ledger.forget(mark)
        told = sentence(rule, error)[:500]
        ledger.note(rule.id, Outcome.FAULTY, detail=told, **where)
        return told
    return ""
