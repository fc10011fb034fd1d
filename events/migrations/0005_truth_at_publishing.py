"""What an event's transaction saw as it was written, and which transaction wrote each change; interrupted back-tests."""

from django.db import migrations, models

# Filled by the database itself, so that publishing sends nothing more; events/as_published.py reads them. What was
# written before them has none. A default that comes after its column leaves the rows that are there alone.
SEEN = """
ALTER TABLE events_event ADD COLUMN seen pg_snapshot, ADD COLUMN written_by xid8, ADD COLUMN change_mark bigint;
ALTER TABLE events_event
    ALTER COLUMN seen SET DEFAULT pg_current_snapshot(),
    ALTER COLUMN written_by SET DEFAULT pg_current_xact_id(),
    ALTER COLUMN change_mark SET DEFAULT pg_sequence_last_value('events_change_id_seq');
ALTER TABLE events_change ADD COLUMN written_by xid8;
ALTER TABLE events_change ALTER COLUMN written_by SET DEFAULT pg_current_xact_id();
"""
UNSEEN = """
ALTER TABLE events_event DROP COLUMN seen, DROP COLUMN written_by, DROP COLUMN change_mark;
ALTER TABLE events_change DROP COLUMN written_by;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0004_triggers"),
    ]

    operations = [
        migrations.RunSQL(SEEN, UNSEEN),
        migrations.AlterField(
            model_name="backtest",
            name="status",
            field=models.CharField(
                choices=[
                    ("running", "Running"),
                    ("done", "Done"),
                    ("cancelled", "Cancelled"),
                    ("failed", "Failed"),
                    ("interrupted", "Interrupted"),
                ],
                default="running",
                max_length=11,
            ),
        ),
    ]
