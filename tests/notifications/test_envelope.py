import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from notifications import envelope
from notifications.destinations import Notification
from notifications.fetch import Claimed
from notifications.retry import Schedule

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(scope="module")
def claimed():
    return Claimed(
        id=1, uid=UUID(int=1), channel_id=1, epoch=1, lane_id=None, sequence=None, status="pending",
        subscription_id=1, recipient="", attempt_count=0, crash_count=0, created_at=datetime.now(UTC),
        previous_uid=None, previous_sequence=None, body=None, headers=None, query=None, event_uid=UUID(int=2),
        event_type="invoice.posted", event_label="", event_source="posted", ordering_key="",
        occurred_at=datetime(2026, 1, 31, 12, tzinfo=UTC), data='{"total": 19.90}', replay_id=None,
    )  # fmt: skip


@given(event_type=texts, queue=texts, key=texts, sequence=st.none() | st.integers(1, 2**62))
def test_the_body_is_the_json_of_its_parts_around_the_exact_payload(
    claimed, event_type, queue, key, sequence
):
    one = replace(claimed, event_type=event_type, ordering_key=key, sequence=sequence)
    notification = Notification(
        is_paused=False,
        queue=queue,
        schedule=Schedule(),
        skips_failures=False,
        parameters=(),
    )

    body, headers, query = envelope.compose(one, notification, {})

    head = {
        "id": "evt_" + "0" * 31 + "2",
        "type": event_type,
        "timestamp": "2026-01-31T12:00:00Z",
        "queue": queue,
        "ordering_key": key,
        "sequence": sequence,
    }
    words = json.dumps(head, ensure_ascii=False)
    assert body == words[:-1] + ', "data": {"total": 19.90}, "parameters": {}}'
    assert (headers, query) == ((), ())
