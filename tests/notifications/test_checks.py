"""What the system checks refuse of django-q2's settings."""

import copy
from typing import Any

import pytest

from notifications import checks


@pytest.fixture
def queues(settings: Any) -> dict[str, Any]:
    """Q_CLUSTER as it is shipped, to be changed."""
    settings.Q_CLUSTER = copy.deepcopy(settings.Q_CLUSTER)
    found: dict[str, Any] = settings.Q_CLUSTER
    return found


def ids() -> list[str | None]:
    found = [*checks.check_times(), *checks.check_queues(), *checks.check_broker()]
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_what_is_shipped_passes(queues: dict[str, Any]) -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("timeout", 50, "E002"),
        ("timeout", None, "E002"),
        ("retry", 60, "E002"),
        ("save_limit", 250, "E003"),
        ("max_attempts", 0, "E005"),
        ("ack_failures", False, "E005"),
        ("queue_limit", 4, "E006"),
        ("queue_limit", None, "E006"),
        ("poll", 2, "E007"),
        ("poll", 0, "E007"),
        ("bulk", 10, "E007"),
        ("recycle", 0, "E008"),
        ("recycle", 100_000, "E008"),
        ("sync", True, "E009"),
        ("redis", {"host": "127.0.0.1"}, "E010"),
        ("broker_class", "django_q.brokers.orm.ORM", "E010"),
        ("orm", "elsewhere", "E010"),
    ],
)
def test_a_setting_of_the_delivery_queue_that_breaks_a_promise(
    queues: dict[str, Any], name: str, value: object, expected: str
) -> None:
    queues["ALT_CLUSTERS"]["delivery"][name] = value
    assert ids() == [f"notifications.{expected}"]


@pytest.mark.parametrize("queue", [None, {}, {"others": {}}])
def test_the_delivery_queue_has_to_exist(queues: dict[str, Any], queue: object) -> None:
    queues.pop("ALT_CLUSTERS")
    if queue is not None:
        queues["ALT_CLUSTERS"] = queue
    assert "notifications.E004" in ids()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("retry", 600, ["E011"]), ("timeout", None, ["E011"]), ("sync", True, ["E009", "E009"])],
)
def test_a_setting_of_the_default_queue_that_breaks_a_promise(
    queues: dict[str, Any], name: str, value: object, expected: list[str]
) -> None:
    queues[name] = value
    assert ids() == [f"notifications.{each}" for each in expected]


def test_a_lease_that_no_send_fits_into_is_refused(settings: Any) -> None:
    settings.DELIVERY_LEASE_SECONDS = 19
    assert ids() == ["notifications.E001"]
