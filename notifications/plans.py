"""Reading subscriptions into plans: one statement, however many there are."""

from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth import get_user_model

from events import prepared
from events.prepared import array

from .match import Condition, Limit, Plan

_LOAD = """
SELECT s.id, s.queue_id, q.is_ordered, s.on_create, s.on_update, s.on_delete, s.endpoint_id, s.profile_id,
  ARRAY(SELECT t.eventtype_id FROM notifications_subscription_event_types t WHERE t.subscription_id = s.id),
  (SELECT json_agg(json_build_array(f.token, f.operator, f.value) ORDER BY f.id)
   FROM notifications_filter f WHERE f.subscription_id = s.id),
  ARRAY(SELECT coalesce(nullif(r.address, ''), u.email)
        FROM notifications_recipient r LEFT JOIN {users} u ON u.id = r.user_id AND u.is_active
        WHERE r.subscription_id = s.id AND coalesce(nullif(r.address, ''), u.email, '') <> '' ORDER BY r.id)
  || ARRAY(SELECT u.email FROM notifications_recipient r
           JOIN {members} m ON m.group_id = r.group_id JOIN {users} u ON u.id = m.{user}
           WHERE r.subscription_id = s.id AND u.is_active AND u.email <> '' ORDER BY r.id, u.id),
  ARRAY(SELECT r.token FROM notifications_recipient r
        WHERE r.subscription_id = s.id AND r.token <> '' ORDER BY r.id),
  s.storm_limit, s.storm_minutes
FROM notifications_subscription s
JOIN events_queue q ON q.id = s.queue_id
JOIN events_subscriber b ON b.id = s.subscriber_id
WHERE s.queue_id = ANY(%s::bigint[]) AND s.is_active AND b.is_active
ORDER BY s.id
"""
_OPERATIONS = ("create", "update", "delete")


def load(queue_ids: Collection[int]) -> list[Plan]:
    """Return the active subscriptions of these queues, oldest first."""
    return [_plan(row) for row in prepared.run(_statement(), [array(queue_ids)])]


def _statement() -> str:
    """Return the statement over the tables of whatever users the installation has."""
    users: Any = get_user_model()
    through = users.groups.through
    names = {
        "users": users._meta.db_table,
        "members": through._meta.db_table,
        "user": through._meta.get_field(users._meta.model_name).column,
    }
    return _LOAD.format(**names)


def _plan(row: Sequence[Any]) -> Plan:
    pk, queue_id, is_ordered, *operations, endpoint_id, profile_id = row[:8]
    type_ids, conditions, addresses, tokens, storm_limit, storm_minutes = row[8:]
    wanted = zip(_OPERATIONS, operations, strict=True)
    return Plan(
        subscription_id=pk,
        queue_id=queue_id,
        is_ordered=is_ordered,
        type_ids=frozenset(type_ids),
        operations=frozenset(name for name, is_wanted in wanted if is_wanted),
        conditions=tuple(
            Condition(token=token, operator=operator, value=value)
            for token, operator, value in conditions or ()
        ),
        endpoint_id=endpoint_id,
        profile_id=profile_id,
        addresses=tuple(addresses),
        address_tokens=tuple(tokens),
        limit=Limit(deliveries=storm_limit, minutes=storm_minutes) if storm_limit else None,
    )
