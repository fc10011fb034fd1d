"""Kinds, changes and activity of billing objects; the table of changes has month partitions."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import events.exact
from django.db import migrations, models

from events import partitions

CHANGES = """
CREATE SEQUENCE events_change_id_seq;
CREATE TABLE events_change (
    id bigint NOT NULL DEFAULT nextval('events_change_id_seq'),
    kind varchar(50) NOT NULL,
    external_id varchar(100) NOT NULL,
    operation varchar(6) NOT NULL CHECK (operation IN ('create', 'update', 'delete')),
    before jsonb,
    after jsonb,
    version bigint,
    source varchar(6) NOT NULL CHECK (source IN ('api', 'signal', 'bulk')),
    occurred_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    is_partial boolean NOT NULL DEFAULT false,
    folded_at timestamptz,
    evaluated_at timestamptz,
    error text NOT NULL DEFAULT '',
    -- Triggers compare what was with what is, which is known only afterwards.
    CONSTRAINT change_folded_before_evaluated CHECK (evaluated_at IS NULL OR folded_at IS NOT NULL),
    PRIMARY KEY (id, reported_at)
) PARTITION BY RANGE (reported_at);
ALTER SEQUENCE events_change_id_seq OWNED BY events_change.id;
-- The evaluator takes these in order of id; nothing else is in it.
CREATE INDEX change_inbox ON events_change (id) WHERE evaluated_at IS NULL;
-- What host projects wrote, to be folded into the objects in order of id.
CREATE INDEX change_unfolded ON events_change (id) WHERE folded_at IS NULL;
-- The history of an object, newest first.
CREATE INDEX change_by_object ON events_change (kind, external_id, id DESC);
-- Back-tests read one kind over some days.
CREATE INDEX change_by_kind ON events_change (kind, reported_at);
CREATE TABLE events_change_default PARTITION OF events_change DEFAULT;

-- Each report of usage rewrites a row and its place in the index of the silent ones: room on the page, and
-- vacuum before the daily scan has to look at rows.
ALTER TABLE events_activity SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
"""
UNDO = "DROP TABLE events_change;"


def first_partitions(apps, schema_editor):
    partitions.ensure()


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_pause"),
    ]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=50)),
                ("external_id", models.CharField(max_length=100, verbose_name="id in the billing system")),
                (
                    "operation",
                    models.CharField(
                        choices=[("create", "Create"), ("update", "Update"), ("delete", "Delete")],
                        max_length=6,
                    ),
                ),
                (
                    "before",
                    events.exact.ExactJSONField(help_text="The state before; empty for a create.", null=True),
                ),
                (
                    "after",
                    events.exact.ExactJSONField(help_text="The state after; empty for a delete.", null=True),
                ),
                ("version", models.BigIntegerField(null=True)),
                (
                    "source",
                    models.CharField(
                        choices=[("api", "API"), ("signal", "Django signal"), ("bulk", "Bulk call")],
                        max_length=6,
                    ),
                ),
                ("occurred_at", models.DateTimeField(help_text="When it happened, as the reporter says.")),
                (
                    "reported_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="When it was written here.",
                    ),
                ),
                (
                    "is_partial",
                    models.BooleanField(
                        default=False, help_text="Until it is folded, `after` has some fields only."
                    ),
                ),
                (
                    "folded_at",
                    models.DateTimeField(help_text="Empty: not compared with the object yet.", null=True),
                ),
                (
                    "evaluated_at",
                    models.DateTimeField(help_text="Empty: triggers have not looked at it yet.", null=True),
                ),
                ("error", models.TextField(blank=True, help_text="Why it could not be taken over.")),
            ],
            options={
                "db_table": "events_change",
                "ordering": ["-id"],
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Activity",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "kind",
                        "activity",
                        "external_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("kind", models.CharField(max_length=50)),
                (
                    "activity",
                    models.CharField(
                        choices=[("usage", "Usage"), ("network", "Network registration")], max_length=7
                    ),
                ),
                ("external_id", models.CharField(max_length=100)),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "activities",
            },
        ),
        migrations.CreateModel(
            name="ObjectKind",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "code",
                    models.CharField(
                        help_text="As reports name it, e.g. service.",
                        max_length=50,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z][a-z0-9_]*$",
                                "Write lower-case letters, digits and underscores, such as bill_run.",
                            )
                        ],
                    ),
                ),
                ("label", models.CharField(max_length=100)),
                ("description", models.TextField(blank=True)),
                (
                    "parent_path",
                    models.CharField(
                        blank=True,
                        help_text="Where its reports hold the parent's id. Empty: below the parent's code, such as account.id.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                                "Write a field of the report, with dots into objects, such as account.id.",
                            )
                        ],
                    ),
                ),
                (
                    "name_path",
                    models.CharField(
                        blank=True,
                        help_text="The field people know it by, e.g. name.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                                "Write a field of the report, with dots into objects, such as account.id.",
                            )
                        ],
                    ),
                ),
                (
                    "status_path",
                    models.CharField(
                        blank=True,
                        help_text="The field with its status, e.g. state.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                                "Write a field of the report, with dots into objects, such as account.id.",
                            )
                        ],
                    ),
                ),
                ("is_builtin", models.BooleanField(default=False, editable=False, verbose_name="built in")),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.AddField(
            model_name="billingobject",
            name="created_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), help_text="When it was first heard of."
            ),
        ),
        migrations.AddField(
            model_name="billingobject",
            name="deleted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("events:create", "Publish events, into the queues granted to its subscriber"),
                        ("events:update", "Amend, hold and reschedule events (not yet available)"),
                        ("events:delete", "Cancel events (not yet available)"),
                        ("events:read", "Read the catalog, and the events of every subscriber"),
                        ("objects:write", "Report billing objects and their activity, and read them"),
                        ("config:read", "Read the configuration of every subscriber"),
                        ("config:write", "Change the configuration of every subscriber, grants included"),
                        ("deliveries:read", "Read the deliveries of every subscriber"),
                        ("deliveries:operate", "Retry, skip, cancel and hold deliveries (not yet available)"),
                    ],
                    max_length=30,
                ),
                help_text="What the key may do.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="billingobject",
            name="external_id",
            field=models.CharField(
                help_text="Its id in the billing system.", max_length=100, verbose_name="id"
            ),
        ),
        migrations.AlterField(
            model_name="billingobject",
            name="kind",
            field=models.CharField(help_text="Code of its kind: account, package, service, …", max_length=50),
        ),
        migrations.AlterField(
            model_name="billingobject",
            name="reported_at",
            field=models.DateTimeField(
                help_text="Empty: so far only named as the parent of another.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="billingobject",
            name="state",
            field=events.exact.ExactJSONField(default=dict),
        ),
        migrations.AlterField(
            model_name="billingobject",
            name="version",
            field=models.BigIntegerField(help_text="A report with a lower version is stale.", null=True),
        ),
        migrations.AddIndex(
            model_name="billingobject",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", False)),
                fields=["deleted_at"],
                name="billing_object_deleted",
            ),
        ),
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(fields=["kind", "activity", "last_at", "external_id"], name="activity_silent"),
        ),
        migrations.AddField(
            model_name="objectkind",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                help_text="The one object it belongs to: service → package → account. Empty: none.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="events.objectkind",
            ),
        ),
        migrations.AddField(
            model_name="billingobject",
            name="is_deleted",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.ExpressionWrapper(
                    models.Q(("deleted_at__isnull", False)), models.BooleanField()
                ),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AddConstraint(
            model_name="objectkind",
            constraint=models.CheckConstraint(
                condition=models.Q(("parent", models.F("id")), _negated=True),
                name="object_kind_not_its_own_parent",
                violation_error_message="A kind cannot be its own parent.",
            ),
        ),
        migrations.AddConstraint(
            model_name="objectkind",
            constraint=models.CheckConstraint(
                condition=models.Q(("parent__isnull", False), ("parent_path", ""), _connector="OR"),
                name="object_kind_parent_path_has_parent",
                violation_error_message="Without a parent there is no parent's id to be found; clear it.",
            ),
        ),
        migrations.RunSQL(CHANGES, UNDO),
        migrations.RunPython(first_partitions, migrations.RunPython.noop),
    ]
