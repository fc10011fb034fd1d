"""References of deliveries, checked for a whole statement at once, as thousands of them are written by one.

PostgreSQL's own foreign keys look at each row of each reference by itself, at COMMIT: a fifth of what the
server spent on a delivery, while fan-out kept its channels locked. These promise the same:

1. A statement that adds deliveries locks what they refer to (FOR KEY SHARE, as a foreign key does), and fails
   unless all of it is there.
2. A delivery that is moved is checked by itself; settling moves none.
3. What a delivery refers to at COMMIT cannot be deleted. Its row is locked when the check looks, so that it sees
   what was added before, and whoever adds later finds nothing to lock.

Each lock is held for a moment, alone, and waited for at most five seconds, as deliveries are made and sent meanwhile.
Where that is too short, it can be repeated as it is.
"""

import django.db.models.deletion
from django.db import migrations, models

_PARENTS = {
    "event_id": "events_event",
    "subscription_id": "notifications_subscription",
    "channel_id": "notifications_channel",
    "lane_id": "notifications_lane",
}

# By ids in order, as everybody locks; channels and lanes are the writer's own by then.
_ADDED = """
  wanted := ARRAY(SELECT DISTINCT {column} FROM added WHERE {column} IS NOT NULL);
  PERFORM FROM {table} WHERE id = ANY (wanted) ORDER BY id FOR KEY SHARE;
  GET DIAGNOSTICS found = ROW_COUNT;
  IF found < cardinality(wanted) THEN
    RAISE foreign_key_violation USING TABLE = 'notifications_delivery', CONSTRAINT = 'delivery_{column}_exists',
      MESSAGE = 'A delivery refers to a row of {table} that does not exist.';
  END IF;"""
_MOVED = """
  PERFORM FROM {table} WHERE id = NEW.{column} FOR KEY SHARE;
  IF NEW.{column} IS NOT NULL AND NOT FOUND THEN
    RAISE foreign_key_violation USING TABLE = 'notifications_delivery', CONSTRAINT = 'delivery_{column}_exists',
      MESSAGE = 'A delivery refers to a row of {table} that does not exist.';
  END IF;"""
_REFERRED = """
CREATE OR REPLACE FUNCTION delivery_{column}_referred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM notifications_delivery WHERE {column} = OLD.id) THEN
    RAISE foreign_key_violation USING TABLE = 'notifications_delivery', CONSTRAINT = 'delivery_{column}_exists',
      MESSAGE = 'Deliveries refer to this row of {table}.';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS delivery_{column}_referred ON {table};
CREATE CONSTRAINT TRIGGER delivery_{column}_referred AFTER DELETE ON {table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION delivery_{column}_referred();
"""
_UNREFERRED = """
DROP TRIGGER delivery_{column}_referred ON {table};
DROP FUNCTION delivery_{column}_referred();
"""


def _each(text: str) -> str:
    return "".join(text.format(column=column, table=table) for column, table in _PARENTS.items())


_PATIENCE = "SET lock_timeout = '5s'"
_COLUMNS = ", ".join(_PARENTS)
_BEFORE, _AFTER = ("(" + ", ".join(f"{row}.{column}" for column in _PARENTS) + ")" for row in ("OLD", "NEW"))
_CHECK = f"""
CREATE OR REPLACE FUNCTION delivery_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wanted bigint[]; found bigint;
BEGIN{_each(_ADDED)}
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER delivery_added AFTER INSERT ON notifications_delivery REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION delivery_added();

CREATE OR REPLACE FUNCTION delivery_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{_each(_MOVED)}
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER delivery_moved AFTER UPDATE OF {_COLUMNS} ON notifications_delivery
  FOR EACH ROW WHEN ({_BEFORE} IS DISTINCT FROM {_AFTER}) EXECUTE FUNCTION delivery_moved();
"""
_UNCHECK = """
DROP TRIGGER delivery_added ON notifications_delivery;
DROP FUNCTION delivery_added();
DROP TRIGGER delivery_moved ON notifications_delivery;
DROP FUNCTION delivery_moved();
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("events", "0006_calls"),
        ("notifications", "0017_delivery_indexes_live"),
    ]

    operations = [
        migrations.RunSQL(_PATIENCE, "RESET lock_timeout"),
        migrations.RunSQL(_CHECK, _UNCHECK),
        *(
            migrations.RunSQL(
                _REFERRED.format(column=column, table=table), _UNREFERRED.format(column=column, table=table)
            )
            for column, table in _PARENTS.items()
        ),
        migrations.AlterField(
            model_name="delivery",
            name="event",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="events.event",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="subscription",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="notifications.subscription",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="channel",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="Empty: it could go nowhere.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="notifications.channel",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="lane",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="notifications.lane",
            ),
        ),
        migrations.RunSQL("RESET lock_timeout", _PATIENCE),
    ]
