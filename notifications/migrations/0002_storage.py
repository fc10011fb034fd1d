"""What Django's schema editor cannot say: month partitions, and storage settings of the hot tables."""

from django.db import migrations

from notifications import partitions

TABLES = """
CREATE TABLE notifications_attempt (
    id uuid NOT NULL,
    delivery_id bigint NOT NULL,
    number smallint NOT NULL CHECK (number >= 0),
    verdict varchar(9) NOT NULL,
    status_code smallint CHECK (status_code >= 0),
    error_class varchar(30) NOT NULL,
    detail text NOT NULL,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    address varchar(100) NOT NULL,
    request_headers text NOT NULL,
    response_headers text NOT NULL,
    response_body text NOT NULL,
    worker varchar(100) NOT NULL,
    epoch bigint NOT NULL,
    is_fenced boolean NOT NULL,
    started_at timestamptz NOT NULL,
    -- Unique with the partition key, which a repeated settle repeats as well.
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
-- The attempts of a delivery, and the log, newest first.
CREATE INDEX attempt_by_delivery ON notifications_attempt (delivery_id, started_at);
CREATE INDEX attempt_by_time ON notifications_attempt (started_at DESC);
CREATE TABLE notifications_attempt_default PARTITION OF notifications_attempt DEFAULT;

CREATE TABLE notifications_renderedbody (
    delivery_id bigint NOT NULL,
    delivery_created_at timestamptz NOT NULL,
    body text NOT NULL,
    headers jsonb NOT NULL,
    query jsonb NOT NULL,
    PRIMARY KEY (delivery_id, delivery_created_at)
) PARTITION BY RANGE (delivery_created_at);
CREATE TABLE notifications_renderedbody_default PARTITION OF notifications_renderedbody DEFAULT;

-- Rows that change all the time: room for HOT updates, and vacuum before bloat.
ALTER TABLE notifications_channel SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 200);
ALTER TABLE notifications_lane SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000);
ALTER TABLE notifications_delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
"""
UNDO = "DROP TABLE notifications_attempt; DROP TABLE notifications_renderedbody;"


def first_partitions(apps, schema_editor):
    partitions.ensure()


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [
        migrations.RunSQL(TABLES, UNDO),
        migrations.RunPython(first_partitions, migrations.RunPython.noop),
    ]
