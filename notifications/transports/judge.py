"""What a receiver's answer means: 2xx is accepted, and nothing else is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urljoin

from .base import LONGEST_RETRY_AFTER, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The part of an Outcome that follows from the answer alone."""

    verdict: Verdict
    error_class: str
    detail: str


def judge_answer(  # noqa: PLR0911 - a decision list
    status: int, *, url: str, location: str = ""
) -> Judgement:
    """The verdict on a status code, and a sentence for support staff."""
    said = f"The receiver answered {status}{_phrase(status)}"
    if 200 <= status <= 299:
        return Judgement(verdict=Verdict.DELIVERED, error_class="", detail=f"{said}.")
    if 300 <= status <= 399:
        if location:
            said = f"{said} and points to {_target(url, location)}"
        else:
            said = f"{said}, a redirect, but names no target"
        return Judgement(verdict=Verdict.RETRY, error_class="redirect", detail=f"{said}.")
    if status == HTTPStatus.GONE:
        said = f"{said}: it wants no more callouts at this URL"
        return Judgement(verdict=Verdict.BLOCKED, error_class="gone", detail=f"{said}.")
    if status in (408, 409, 425, 429):
        return Judgement(verdict=Verdict.RETRY, error_class="http_4xx", detail=f"{said}: later, please.")
    if 400 <= status <= 499:
        said = f"{said}: it does not accept this request as it is. It is tried again in case the receiver"
        return Judgement(verdict=Verdict.RETRY, error_class="http_4xx", detail=f"{said} is being changed.")
    if 500 <= status <= 599:
        return Judgement(verdict=Verdict.RETRY, error_class="http_5xx", detail=f"{said}: it failed inside.")
    return Judgement(verdict=Verdict.RETRY, error_class="protocol", detail=f"{said}, which ends no request.")


def _target(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:  # an unclosed bracket, for one
        target = location.replace("\0", "")[:2048]
        return f"{target}, which is no URL. Redirects are not followed"
    target = target.replace("\0", "")[:2048]
    return f"{target}. Redirects are not followed: change the URL to {target}"


def retry_after(value: str | None, *, status: int, now: datetime) -> timedelta | None:
    """What a Retry-After header of a 429 or 503 asks for, seconds or a date; 0 to 24 h."""
    if value is None or status not in (429, 503):
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(LONGEST_RETRY_AFTER, timedelta(seconds=int(value[:9])))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(LONGEST_RETRY_AFTER, max(timedelta(), wait))


@lru_cache(maxsize=1000)
def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
