"""Bodies of actions: members that are not known are refused."""

from events.api.base import Strict

__all__ = ["Strict"]
