"""What this app tells the apps above it."""

from django.dispatch import Signal

# Sent by `Event` after the commit, with `count`, the number of events that transaction published.
# A lost one costs only time: the inbox holds every event that is not fanned out.
event_published = Signal()

# Sent by `manage.py sync_catalog` once the event types are rows, with `has_changed`: whether any differs from before.
catalog_synced = Signal()

# Sent by `Event` with `event_type_id` before the ledger says that a trigger fired. Whoever answers tells in a sentence
# why nobody would hear of the event, or returns an empty text.
hearers_asked = Signal()

# Sent by `EventType` with `event_type`, `data` and `at`: the payload of an event that is not published. Whoever answers
# returns for each subscription that would receive it a dict of texts: subscription, to, and subject, text or fault.
specimens_asked = Signal()
