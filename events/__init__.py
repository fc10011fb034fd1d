"""What happened, and who may touch it. A host project follows its own models by `track` and `track_bulk`."""

from .tracking import track, track_bulk

__all__ = ["track", "track_bulk"]
