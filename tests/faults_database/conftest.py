"""The receiver with its ledger, as tests/faults has it."""

from tests.faults.conftest import ledger

__all__ = ["ledger"]
