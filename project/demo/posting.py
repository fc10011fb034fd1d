"""Posting the demo's events to the running HTTP API, one after the other, in a thread of its own."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from .payloads import Draft

_TIMEOUT = 10.0


@dataclass(frozen=True, kw_only=True)
class Posted:
    """One answer of the API; `status` is 0 where there was none, `at` the monotonic clock before the call."""

    type: str
    status: int
    event_id: str  # evt_…, empty unless it was taken
    data: dict[str, Any]
    at: float
    problem: str = ""


class Posting:
    """Posts drafts while the block of `running` lasts."""

    def __init__(self, url: str, api_key: str, drafts: Iterable[Draft], *, run: str) -> None:
        """`run` makes the idempotency keys of this run its own."""
        self._url = f"{url}/api/v1/events/"
        self._api_key = api_key
        self._drafts = list(drafts)
        self._run = run
        self._posted: list[Posted] = []
        self._stopping = threading.Event()

    @property
    def wanted(self) -> list[Draft]:
        """Return what is to be posted."""
        return self._drafts

    @property
    def is_done(self) -> bool:
        """Whether everything was posted, taken or not."""
        return len(self._posted) == len(self._drafts)

    def posted(self) -> list[Posted]:
        """Return what was posted so far."""
        return list(self._posted)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Post inside the block."""
        thread = threading.Thread(target=self._post_all, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _post_all(self) -> None:
        with requests.Session() as session:
            # No proxy of the environment stands between us and our own web server.
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {self._api_key}"
            for number, draft in enumerate(self._drafts, 1):
                if self._stopping.is_set():
                    return
                key = f"{self._run}-{number}"
                self._posted.append(_post(session, self._url, draft, key))


def _post(session: requests.Session, url: str, draft: Draft, key: str) -> Posted:
    at = time.monotonic()
    body = {"type": draft.type, "data": draft.data, "idempotency_key": key}
    try:
        response = session.post(url, json=body, timeout=_TIMEOUT)
        answer = response.json()
    except requests.RequestException as error:
        return Posted(type=draft.type, status=0, event_id="", data=draft.data, at=at, problem=str(error))
    taken = response.status_code == requests.codes.created
    return Posted(
        type=draft.type,
        status=response.status_code,
        event_id=answer["id"] if taken else "",
        data=draft.data,
        at=at,
        problem="" if taken else str(answer.get("detail") or answer),
    )
