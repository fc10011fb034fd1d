"""Put the tables of the test database back into a state that was kept: what a test left is deleted, and no more.

Django's flush truncates all seventy tables and then makes permissions and schedules anew, which takes ten times as
long as most tests. Rows come back with the keys they had, as sequences are never put back.
"""

from django.db import connection, transaction

# As `migrate` leaves them, and with the catalog in them, which takes a tenth of the time that a sync does.
MIGRATED, CATALOG = "kept_migrated", "kept_catalog"

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND relname <> 'django_migrations'
"""
_KEEP = """
    DO $$ DECLARE name text; has_rows boolean; BEGIN
        CREATE SCHEMA {state};
        FOR name IN {tables} LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO has_rows;
            IF has_rows THEN
                EXECUTE format('CREATE TABLE {state}.%I AS TABLE %I', name, name);
            END IF;
        END LOOP;
    END $$
"""
# Foreign keys are checked at the end of the transaction, so that the order does not matter.
_PUT_BACK = """
    DO $$ DECLARE name text; has_rows boolean; BEGIN
        FOR name IN {tables} LOOP
            IF to_regclass(format('{state}.%I', name)) IS NULL THEN
                EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO has_rows;
                IF has_rows THEN
                    EXECUTE format('DELETE FROM %I', name);
                END IF;
            ELSE
                EXECUTE format(
                    'DELETE FROM %1$I WHERE id IN (SELECT id FROM (TABLE %1$I EXCEPT TABLE {state}.%1$I) AS other)',
                    name
                );
                EXECUTE format('INSERT INTO %1$I (TABLE {state}.%1$I EXCEPT TABLE %1$I)', name);
            END IF;
        END LOOP;
    END $$
"""
_FILL = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = '{state}' LOOP
            EXECUTE format('INSERT INTO %1$I (TABLE {state}.%1$I EXCEPT TABLE %1$I)', name);
        END LOOP;
    END $$
"""


def keep(state: str) -> None:
    """Keep the tables as they are, to be put back from now on."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP.format(state=state, tables=_TABLES))


@transaction.atomic
def put_back(state: str) -> None:
    """Make every table as it was when this state was kept."""
    with connection.cursor() as cursor:
        cursor.execute(_PUT_BACK.format(state=state, tables=_TABLES))


@transaction.atomic
def fill(state: str) -> None:
    """Add the rows of a kept state that are not there."""
    with connection.cursor() as cursor:
        cursor.execute(_FILL.format(state=state))
