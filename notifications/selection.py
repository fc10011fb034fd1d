"""Which SMTP profile a mail leaves by.

1. The subscription's own; else that of the rule for its event type, its resource or its category; else the default.
2. While that one is paused or inactive, its fallback, and that one's own; if none of them is in use, it waits
   for the one that was chosen first.
"""

from dataclasses import dataclass, field

from django.db import connection

from smtpprofiles.models import SmtpProfile

# One row an event type that a rule speaks of.
BY_TYPE = """
SELECT t.id, coalesce(
  (SELECT r.profile_id FROM notifications_profilerule r WHERE r.event_type_id = t.id),
  (SELECT r.profile_id FROM notifications_profilerule r WHERE r.resource = t.resource AND r.resource <> ''),
  (SELECT r.profile_id FROM notifications_profilerule r WHERE r.category = t.category AND r.category <> ''))
FROM events_eventtype t WHERE EXISTS (SELECT FROM notifications_profilerule)
"""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The rules, and what stands in for what, as they are now."""

    by_type: dict[int, int] = field(default_factory=dict)  # by event type
    default: int | None = None
    stands_in: dict[int, int] = field(default_factory=dict)  # for each that is not in use, what is

    @classmethod
    def read(cls) -> "Profiles":
        """Read them, in two statements."""
        with connection.cursor() as cursor:
            cursor.execute(BY_TYPE)
            by_type = {type_id: profile for type_id, profile in cursor.fetchall() if profile}
        rows = SmtpProfile.objects.values_list(
            "pk", "is_default", "is_active", "paused_reason", "fallback_id"
        )
        default: int | None = None
        fallbacks: dict[int, int | None] = {}
        in_use: set[int] = set()
        for pk, is_default, is_active, paused_reason, fallback in rows:
            default = pk if is_default else default
            fallbacks[pk] = fallback
            if is_active and not paused_reason:
                in_use.add(pk)
        stands_in = {
            pk: found for pk in fallbacks if pk not in in_use and (found := _first(pk, fallbacks, in_use))
        }
        return cls(by_type, default, stands_in)

    def choose(self, own: int | None, type_id: int) -> int | None:
        """Return the profile for a mail about an event of this type; None if there is none at all."""
        chosen = own or self.by_type.get(type_id) or self.default
        return self.stands_in.get(chosen, chosen) if chosen else None


def _first(pk: int, fallbacks: dict[int, int | None], in_use: set[int]) -> int | None:
    """Return the first of its fallbacks that is in use."""
    seen: set[int] = set()
    at: int | None = pk
    while at is not None and at not in seen:
        if at in in_use:
            return at
        seen.add(at)
        at = fallbacks.get(at)
    return None
