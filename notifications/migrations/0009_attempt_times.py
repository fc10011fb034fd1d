"""How long each part of an attempt took. Without checks and with constant defaults: no row is read or rewritten."""

from django.db import migrations

COLUMNS = """
ALTER TABLE notifications_attempt
    ADD COLUMN dns_ms integer,
    ADD COLUMN connect_ms integer,
    ADD COLUMN tls_ms integer,
    ADD COLUMN first_byte_ms integer,
    -- The default serves rows of workers of the release before, and of crashes.
    ADD COLUMN is_reused boolean NOT NULL DEFAULT false;
"""
UNDO = """
ALTER TABLE notifications_attempt
    DROP COLUMN dns_ms, DROP COLUMN connect_ms, DROP COLUMN tls_ms, DROP COLUMN first_byte_ms,
    DROP COLUMN is_reused;
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0008_mail")]
    operations = [migrations.RunSQL(COLUMNS, UNDO)]
