"""Triggers that are evaluated: their rows, what they did, and what they will do."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import events.exact
from django.conf import settings
from django.db import migrations, models


def change_sources(apps, schema_editor):
    """What was stored before triggers were evaluated: created, updated and deleted became one source."""
    triggers = apps.get_model("events", "Trigger").objects
    for source, operation in (("created", "on_create"), ("updated", "on_update"), ("deleted", "on_delete")):
        flags = {"on_create": False, "on_update": False, "on_delete": False, operation: True}
        triggers.filter(source=source).update(source="change", **flags)
    triggers.filter(source="schedule").update(object_kind="")
    triggers.filter(source="schedule", at_time=None).update(at_time="09:00")
    triggers.filter(source="inactivity", idle_days=None).update(idle_days=30)
    # None was evaluated so far; each is looked at again before it is switched on.
    triggers.update(is_active=False)
    # What the rows deferred is checked now: a table with checks ahead cannot be altered.
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0003_objects"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AnchorEntry",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="anchor_entry",
                        serialize=False,
                        to="events.event",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "anchor entries",
            },
        ),
        migrations.CreateModel(
            name="BackTest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("days", models.PositiveIntegerField(default=30)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
                        ],
                        default="running",
                        max_length=9,
                    ),
                ),
                ("looked_at", models.BigIntegerField(default=0, verbose_name="looked at")),
                ("total", models.BigIntegerField(default=0)),
                ("fired", models.BigIntegerField(default=0, verbose_name="would have fired")),
                ("accounts", models.BigIntegerField(default=0, verbose_name="accounts")),
                ("result", events.exact.ExactJSONField(default=dict)),
                ("error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "seen_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="When it last made progress.",
                    ),
                ),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="EvaluatorCall",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("wanted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Firing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=50)),
                ("external_id", models.CharField(max_length=100)),
                ("tier", models.CharField(blank=True, max_length=60)),
                ("period", models.CharField(blank=True, max_length=200)),
                (
                    "event_id",
                    models.BigIntegerField(help_text="Empty: covered by a higher threshold.", null=True),
                ),
                (
                    "depth",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="How many events caused each other before it."
                    ),
                ),
                ("fired_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("recovered_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("fired", "Fired"),
                            ("not_met", "Conditions not met"),
                            ("already", "Already fired"),
                            ("cancelled", "Cancelled"),
                            ("inactive", "Destination inactive"),
                            ("faulty", "Rule faulty"),
                            ("scheduled", "Scheduled"),
                            ("recovered", "Recovered"),
                        ],
                        max_length=9,
                    ),
                ),
                ("kind", models.CharField(blank=True, max_length=50)),
                ("external_id", models.CharField(blank=True, max_length=100, verbose_name="object")),
                ("account", models.CharField(blank=True, max_length=100)),
                ("tier", models.CharField(blank=True, max_length=60)),
                ("period", models.CharField(blank=True, max_length=200)),
                ("detail", models.TextField(blank=True, help_text="The reason, in a sentence.")),
                (
                    "findings",
                    models.JSONField(default=list, help_text="Each condition, with the value it saw."),
                ),
                ("change_id", models.BigIntegerField(null=True)),
                ("event_id", models.BigIntegerField(null=True)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "verbose_name": "trigger ledger entry",
                "verbose_name_plural": "trigger ledger entries",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="ScheduledFiring",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "anchor_key",
                    models.CharField(
                        help_text="What it was scheduled for; once for each rule.", max_length=300
                    ),
                ),
                ("anchor_event_id", models.BigIntegerField(null=True)),
                ("anchor_at", models.DateTimeField(help_text="The date or time from which days count.")),
                (
                    "is_date",
                    models.BooleanField(
                        default=False, help_text="The anchor is a calendar date, in no zone."
                    ),
                ),
                ("kind", models.CharField(blank=True, max_length=50)),
                ("external_id", models.CharField(blank=True, max_length=100, verbose_name="object")),
                ("account", models.CharField(blank=True, max_length=100)),
                ("period", models.CharField(blank=True, max_length=200)),
                (
                    "match_value",
                    models.CharField(blank=True, help_text="What a cancelling event names.", max_length=200),
                ),
                ("zone", models.CharField(default="UTC", max_length=60, verbose_name="time zone")),
                ("due_at", models.DateTimeField()),
                ("schedule_version", models.PositiveIntegerField(default=1)),
                (
                    "is_by_hand",
                    models.BooleanField(
                        default=False,
                        help_text="What is reported later does not undo it.",
                        verbose_name="moved or cancelled by hand",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Waits"),
                            ("fired", "Fired"),
                            ("cancelled", "Cancelled"),
                            ("not_met", "Not fired"),
                            ("faulty", "Rule faulty"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True, help_text="Why it was cancelled or not fired.", max_length=300
                    ),
                ),
                ("event_id", models.BigIntegerField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                ("late_by", models.DurationField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "verbose_name": "scheduled firing",
                "ordering": ["due_at"],
            },
        ),
        migrations.CreateModel(
            name="TriggerCancellation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "own_path",
                    models.CharField(
                        blank=True,
                        help_text="Field of the event that started it, e.g. invoice.number. Empty: all of the account.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                                "Write a field of the report, with dots into objects, such as account.id.",
                            )
                        ],
                        verbose_name="same",
                    ),
                ),
                (
                    "other_path",
                    models.CharField(
                        blank=True,
                        help_text="Field of the cancelling event with the same value or a list of them, e.g. payment.invoice_numbers.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                                "Write a field of the report, with dots into objects, such as account.id.",
                            )
                        ],
                        verbose_name="as",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="TriggerDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("fired", "Fired"),
                            ("not_met", "Conditions not met"),
                            ("already", "Already fired"),
                            ("cancelled", "Cancelled"),
                            ("inactive", "Destination inactive"),
                            ("faulty", "Rule faulty"),
                            ("scheduled", "Scheduled"),
                            ("recovered", "Recovered"),
                        ],
                        max_length=9,
                    ),
                ),
                ("count", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="TriggerField",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "path",
                    models.CharField(
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)*$",
                                "Write it as group.name, e.g. invoice.total.",
                            )
                        ],
                        verbose_name="payload field",
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("object", "Field of the object or its parents"),
                            ("previous", "Field before the change"),
                            ("computed", "Computed by the rule"),
                            ("static", "Fixed text"),
                        ],
                        default="object",
                        max_length=8,
                        verbose_name="filled with",
                    ),
                ),
                (
                    "value",
                    models.CharField(
                        blank=True,
                        help_text="The field, the name of what is computed, or the text.",
                        max_length=500,
                    ),
                ),
            ],
            options={
                "ordering": ["path"],
            },
        ),
        migrations.CreateModel(
            name="TriggerPlan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("plan", models.CharField(help_text="The value of the plan field.", max_length=200)),
                (
                    "idle_days",
                    models.PositiveIntegerField(
                        validators=[django.core.validators.MaxValueValidator(3650)],
                        verbose_name="days without",
                    ),
                ),
            ],
            options={
                "ordering": ["plan"],
            },
        ),
        migrations.CreateModel(
            name="TriggerThreshold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("threshold", models.DecimalField(decimal_places=4, max_digits=20)),
            ],
            options={
                "ordering": ["threshold"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="trigger",
            name="trigger_schedule_has_anchor",
        ),
        migrations.RemoveConstraint(
            model_name="trigger",
            name="trigger_watches_a_kind",
        ),
        migrations.AddField(
            model_name="trigger",
            name="active_since",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="trigger",
            name="activity",
            field=models.CharField(
                choices=[("usage", "Usage"), ("network", "Network registration")],
                default="usage",
                help_text="What is absent.",
                max_length=7,
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="builtin",
            field=models.CharField(blank=True, editable=False, max_length=60, verbose_name="built in"),
        ),
        migrations.AddField(
            model_name="trigger",
            name="created_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddField(
            model_name="trigger",
            name="date_path",
            field=models.CharField(
                blank=True,
                help_text="The field with the date from which days count, e.g. due_date. Of an event, empty: when it came.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="date",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="days_path",
            field=models.CharField(
                blank=True,
                help_text="A field with an object's own number of days. The scan then reads more. Empty: none.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="days of the object",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="description",
            field=models.TextField(blank=True, help_text="What it is for."),
        ),
        migrations.AddField(
            model_name="trigger",
            name="highest_only",
            field=models.BooleanField(
                default=False,
                help_text="A report that jumps over several thresholds fires only the last of them.",
                verbose_name="highest only",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="idle_days",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MaxValueValidator(3650)],
                verbose_name="days without",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="is_below",
            field=models.BooleanField(
                choices=[(False, "Rises to it"), (True, "Falls to it")],
                default=False,
                verbose_name="direction",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="is_edited",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="A person changed it: a later version leaves it as it is.",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="match_all",
            field=models.BooleanField(
                choices=[(True, "All of them are true"), (False, "Any of them is true")],
                default=True,
                help_text="How the conditions are joined.",
                verbose_name="conditions",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="on_create",
            field=models.BooleanField(default=False, verbose_name="created"),
        ),
        migrations.AddField(
            model_name="trigger",
            name="on_delete",
            field=models.BooleanField(default=False, verbose_name="deleted"),
        ),
        migrations.AddField(
            model_name="trigger",
            name="on_update",
            field=models.BooleanField(default=True, verbose_name="updated"),
        ),
        migrations.AddField(
            model_name="trigger",
            name="once",
            field=models.CharField(
                choices=[
                    ("change", "Each time they become true"),
                    ("every", "At every report for which they are true"),
                    ("object", "Once for each object, ever"),
                    ("period", "Once for each object and period"),
                ],
                default="change",
                help_text="How often, while its conditions hold.",
                max_length=6,
                verbose_name="fires",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="period_path",
            field=models.CharField(
                blank=True,
                help_text="The field that tells one period from the next, such as period_start.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="period",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="plan_path",
            field=models.CharField(
                blank=True,
                help_text="The field by which the rows below give other numbers of days, e.g. plan.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="plan",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="position",
            field=models.PositiveSmallIntegerField(
                default=100, help_text="Rules that look at the same change fire in this order."
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="prepared_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When what was there at its activation had been looked at.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="prepared_through",
            field=models.BigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="trigger",
            name="recovery_type",
            field=models.ForeignKey(
                blank=True,
                help_text="Published once what the rule told of is over. Empty: nothing is.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="recovery_triggers",
                to="events.eventtype",
                verbose_name="recovery event",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="schedule_version",
            field=models.PositiveIntegerField(default=1, editable=False),
        ),
        migrations.AddField(
            model_name="trigger",
            name="size_path",
            field=models.CharField(
                blank=True,
                help_text="A field such as size: thresholds are per cent of it. Empty: they are in the value's own unit.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="in per cent of",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="tiers_path",
            field=models.CharField(
                blank=True,
                help_text="A list of tiers in the object, each with its size (commitments: committed and actual).",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="tiers",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="timezone",
            field=models.CharField(
                blank=True,
                help_text="An IANA name such as America/Toronto. Empty: the account's own, else UTC.",
                max_length=60,
                verbose_name="time zone",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="value_path",
            field=models.CharField(
                blank=True,
                help_text="The field that is compared, e.g. used.",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
                verbose_name="value",
            ),
        ),
        migrations.AddField(
            model_name="triggercondition",
            name="value_to",
            field=models.CharField(blank=True, max_length=200, verbose_name="and / to"),
        ),
        migrations.AlterField(
            model_name="event",
            name="source",
            field=models.CharField(
                choices=[
                    ("posted", "Posted"),
                    ("object_change", "Object change"),
                    ("threshold", "Threshold"),
                    ("schedule", "Schedule"),
                    ("inactivity", "Inactivity"),
                    ("chained", "Another event"),
                ],
                default="posted",
                max_length=13,
            ),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="anchor",
            field=models.ForeignKey(
                blank=True,
                help_text="The event that starts it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="anchored_triggers",
                to="events.eventtype",
            ),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="at_time",
            field=models.TimeField(
                blank=True,
                help_text="At this time of day, such as 09:00.",
                null=True,
                verbose_name="time (t)",
            ),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="name",
            field=models.CharField(help_text="What people call the rule.", max_length=100, unique=True),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="object_kind",
            field=models.CharField(
                blank=True, help_text="The kind of object it watches, such as service.", max_length=50
            ),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="offset_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="So many days later.",
                null=True,
                validators=[django.core.validators.MaxValueValidator(3650)],
                verbose_name="days (x)",
            ),
        ),
        migrations.AlterField(
            model_name="trigger",
            name="source",
            field=models.CharField(
                choices=[
                    ("change", "An object changes"),
                    ("threshold", "A value crosses a threshold"),
                    ("date", "A date of an object passes"),
                    ("commitment", "A commitment period closes short"),
                    ("schedule", "Days after another event"),
                    ("inactivity", "Nothing happens for days"),
                    ("event", "Another event happens"),
                ],
                max_length=10,
                verbose_name="starts when",
            ),
        ),
        migrations.AlterField(
            model_name="triggercondition",
            name="field",
            field=models.CharField(
                help_text="Of the object (state) or of what it belongs to (account.currency).",
                max_length=100,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
                        "Write a field of the report, with dots into objects, such as account.id.",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="triggercondition",
            name="operator",
            field=models.CharField(
                choices=[
                    ("is", "is"),
                    ("is_not", "is not"),
                    ("in", "is one of (a, b, c)"),
                    ("not_in", "is none of (a, b, c)"),
                    ("gt", "is over"),
                    ("ge", "is at least"),
                    ("lt", "is under"),
                    ("le", "is at most"),
                    ("between", "is between"),
                    ("empty", "is empty"),
                    ("not_empty", "is not empty"),
                    ("changed", "changed"),
                    ("from_to", "changed from … to …"),
                    ("changed_to", "changed to"),
                    ("changed_from", "changed from"),
                ],
                default="is",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="triggercondition",
            name="value",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.RunPython(change_sources, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="trigger",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("anchor__isnull", False), ("object_kind", ""), ("source__in", ["schedule", "event"])
                    ),
                    models.Q(
                        models.Q(("source__in", ["schedule", "event"]), _negated=True),
                        ("anchor", None),
                        models.Q(("object_kind", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="trigger_watches_one_thing",
                violation_error_message="Give the event that starts it, or the kind of object it watches, not both.",
            ),
        ),
        migrations.AddConstraint(
            model_name="trigger",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("source__in", ["schedule", "date", "commitment"]), _negated=True),
                    models.Q(("at_time__isnull", False), ("offset_days__isnull", False)),
                    _connector="OR",
                ),
                name="trigger_calendar_has_days_and_time",
                violation_error_message="Give the days (x) and the time (t).",
            ),
        ),
        migrations.AddConstraint(
            model_name="trigger",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("source", "inactivity"), _negated=True), ("idle_days__gt", 0), _connector="OR"
                ),
                name="trigger_inactivity_has_days",
                violation_error_message="Give the days without activity, at least 1.",
            ),
        ),
        migrations.AddConstraint(
            model_name="trigger",
            constraint=models.UniqueConstraint(
                condition=models.Q(("builtin", ""), _negated=True),
                fields=("builtin",),
                name="trigger_builtin_once",
            ),
        ),
        migrations.AddField(
            model_name="backtest",
            name="requested_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="backtest",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="back_tests", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="firing",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="firings", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="ledgerentry",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="ledger", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="scheduledfiring",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="scheduled", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="triggercancellation",
            name="event_type",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="cancels", to="events.eventtype"
            ),
        ),
        migrations.AddField(
            model_name="triggercancellation",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="cancellations", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="triggerday",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="days", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="triggerfield",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="fields", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="triggerplan",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="plans", to="events.trigger"
            ),
        ),
        migrations.AddField(
            model_name="triggerthreshold",
            name="trigger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="thresholds", to="events.trigger"
            ),
        ),
        migrations.AddIndex(
            model_name="firing",
            index=models.Index(
                condition=models.Q(("recovered_at", None)),
                fields=["kind", "external_id", "trigger"],
                name="firing_standing",
            ),
        ),
        migrations.AddIndex(
            model_name="firing",
            index=models.Index(
                condition=models.Q(("event_id__isnull", False)), fields=["event_id"], name="firing_by_event"
            ),
        ),
        migrations.AddConstraint(
            model_name="firing",
            constraint=models.UniqueConstraint(
                fields=("trigger", "kind", "external_id", "tier", "period"), name="firing_once"
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["kind", "external_id", "-id"], name="ledger_by_object"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["trigger", "-id"], name="ledger_by_trigger"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("account", ""), _negated=True),
                fields=["account", "-id"],
                name="ledger_by_account",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["outcome", "-id"], name="ledger_by_outcome"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["at"], name="ledger_by_time"),
        ),
        migrations.AddIndex(
            model_name="scheduledfiring",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["due_at"], name="scheduled_due"
            ),
        ),
        migrations.AddIndex(
            model_name="scheduledfiring",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["account", "trigger"],
                name="scheduled_by_account",
            ),
        ),
        migrations.AddIndex(
            model_name="scheduledfiring",
            index=models.Index(fields=["kind", "external_id"], name="scheduled_by_object"),
        ),
        migrations.AddIndex(
            model_name="scheduledfiring",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["trigger", "schedule_version", "id"],
                name="scheduled_stale",
            ),
        ),
        migrations.AddIndex(
            model_name="scheduledfiring",
            index=models.Index(
                condition=models.Q(("settled_at__isnull", False)),
                fields=["settled_at"],
                name="scheduled_settled",
            ),
        ),
        migrations.AddConstraint(
            model_name="scheduledfiring",
            constraint=models.UniqueConstraint(fields=("trigger", "anchor_key"), name="scheduled_once"),
        ),
        migrations.AddConstraint(
            model_name="scheduledfiring",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("settled_at", None), ("status", "pending")),
                    models.Q(("status", "pending"), _negated=True),
                    _connector="OR",
                ),
                name="scheduled_pending_is_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="triggercancellation",
            constraint=models.UniqueConstraint(
                fields=("trigger", "event_type"), name="trigger_cancellation_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="triggerday",
            constraint=models.UniqueConstraint(fields=("trigger", "day", "outcome"), name="trigger_day_once"),
        ),
        migrations.AddConstraint(
            model_name="triggerfield",
            constraint=models.UniqueConstraint(fields=("trigger", "path"), name="trigger_field_once"),
        ),
        migrations.AddConstraint(
            model_name="triggerplan",
            constraint=models.UniqueConstraint(fields=("trigger", "plan"), name="trigger_plan_once"),
        ),
        migrations.AddConstraint(
            model_name="triggerthreshold",
            constraint=models.UniqueConstraint(
                fields=("trigger", "threshold"), name="trigger_threshold_once"
            ),
        ),
    ]
