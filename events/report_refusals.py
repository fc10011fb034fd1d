"""Why a report of a billing object was not taken: each exception names the field and says what would be right."""

# ruff: noqa: N818  # an exception here is named for the fact, as Django names its own

from http import HTTPStatus

from .refusals import BatchRefused, PublishError, SeveralFaults


class ReportError(PublishError):
    """A report that was not taken; nothing of it was written."""

    title = "The report was refused"
    status = HTTPStatus.BAD_REQUEST


class InvalidReport(SeveralFaults, ReportError):
    """A member of the report is not what it must be."""

    title = "Invalid report"


class StateTooLarge(InvalidReport):
    """The state is longer than an object's may be."""

    title = "State too large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnknownKind(ReportError):
    """There is no kind of that code."""

    title = "Unknown kind of object"


class UnknownObject(ReportError):
    """No such object was ever reported."""

    title = "Unknown object"
    status = HTTPStatus.NOT_FOUND


class StaleVersion(ReportError):
    """A report of that version, or a later one, was taken before. `known` is the version of that one."""

    title = "Stale version"
    status = HTTPStatus.CONFLICT

    def __init__(self, given: int, known: int) -> None:
        detail = (
            f"Version {known} is known already, with another state. Each change needs a version of its own; "
            "report the present state under a higher one."
            if given == known
            else f"Version {given} is older than version {known}, which is known; nothing is to be done, "
            f"unless the present state is newer: then report it with a version above {known}."
        )
        super().__init__(detail, field="/version")
        self.known = known


class ReportsRefused(BatchRefused, ReportError):
    """Nothing of the batch was written. `refusals` maps the position (from 0) to its reason."""

    def __init__(self, refusals: dict[int, ReportError], *, place: str = "") -> None:
        super().__init__(dict(refusals), place=place)
        self.detail = f"{len(refusals)} report(s) of the batch were refused; none was taken."
