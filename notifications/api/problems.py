"""The refusals that calls on deliveries document."""

from typing import Any

from events import problems
from events.api.describe import ProblemSerializer

PROBLEMS: dict[Any, Any] = {
    (status, problems.CONTENT_TYPE): ProblemSerializer for status in (400, 403, 404, 409)
}
# What a person needs for a POST that makes nothing new, as in the console.
OPERATES = {"POST": "change"}
