"""What this app tells the apps above it."""

from django.dispatch import Signal

# Sent by `Event` after the commit, with `count`, the number of events that transaction published.
# A lost one costs only time: the inbox holds every event that is not fanned out.
event_published = Signal()

# Sent by `manage.py sync_catalog` once the event types are rows.
catalog_synced = Signal()
