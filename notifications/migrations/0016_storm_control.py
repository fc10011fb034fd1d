"""Storm control: at most so many deliveries a period, and the digests of the others."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0004_triggers"),
        ("notifications", "0015_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="storm_limit",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How many deliveries go out one by one in each period, to each recipient. What comes beyond is collected, and goes out as one digest when the period ends. Empty: no storm control.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(
                        1, "Write a whole number from 1 on, or leave it empty: no storm control."
                    )
                ],
                verbose_name="at most",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="storm_minutes",
            field=models.PositiveIntegerField(
                db_default=60,
                default=60,
                help_text="How long a period is: 1 to 10,080 minutes (a week). It begins with the first delivery. Of no effect without a number above.",
                validators=[
                    django.core.validators.MinValueValidator(
                        1, "Write a whole number of minutes from 1 to 10,080 (a week)."
                    ),
                    django.core.validators.MaxValueValidator(
                        10080, "Write a whole number of minutes from 1 to 10,080 (a week)."
                    ),
                ],
                verbose_name="per period of minutes",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="hold_cause",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "—"),
                    ("exhausted", "All retries are spent; its lane waits for a person"),
                    ("refused", "The other side refused it for good; its lane waits for a person"),
                    ("crashed", "Its worker died three times while sending it"),
                    ("unknown", "It may have arrived already; its SMTP profile leaves it to a person"),
                    ("rendering", "Its template or parameters could not be rendered"),
                    ("operator", "Held by a person"),
                    ("paused", "Its queue or subscription is paused"),
                    ("publisher", "Held by the publisher of its event"),
                    ("collected", "Storm control: it goes out in a digest"),
                ],
                default="",
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Digest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("recipient", models.CharField(blank=True, max_length=320)),
                ("opened_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(help_text="When the period ends, and the digest goes out.")),
                ("passed", models.PositiveIntegerField(default=0, help_text="How many went out one by one.")),
                ("size", models.PositiveIntegerField(default=0, help_text="How many deliveries it carries.")),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "finished_at",
                    models.DateTimeField(help_text="What it carries has been settled.", null=True),
                ),
                (
                    "delivery",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="digest",
                        to="notifications.delivery",
                    ),
                ),
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="collecting_digest",
                        to="events.event",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="digests",
                        to="notifications.subscription",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Collected",
            fields=[
                (
                    "delivery",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="collected",
                        serialize=False,
                        to="notifications.delivery",
                    ),
                ),
                (
                    "digest",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="notifications.digest",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="digest",
            index=models.Index(
                condition=models.Q(("delivery__isnull", False), ("finished_at", None)),
                fields=["subscription", "recipient"],
                name="digest_under_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="digest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("delivery", None)),
                fields=("subscription", "recipient"),
                name="digest_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="digest",
            constraint=models.CheckConstraint(
                condition=models.Q(("event", None), ("delivery", None), _connector="OR"),
                name="digest_collects_or_is_sent",
            ),
        ),
        migrations.AddConstraint(
            model_name="digest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("delivery", None), ("finished_at", None)),
                    models.Q(("closed_at__isnull", False), ("delivery__isnull", False)),
                    _connector="OR",
                ),
                name="digest_closed_when_sent",
            ),
        ),
        migrations.AddIndex(
            model_name="collected",
            index=models.Index(fields=["digest", "delivery"], name="collected_of_digest"),
        ),
        # Django knows no cascade of the database's; deliveries may be pruned in bulk.
        migrations.RunSQL(
            """ALTER TABLE notifications_digest ADD CONSTRAINT digest_delivery_exists
                 FOREIGN KEY (delivery_id) REFERENCES notifications_delivery (id) ON DELETE CASCADE;
               ALTER TABLE notifications_collected ADD CONSTRAINT collected_delivery_exists
                 FOREIGN KEY (delivery_id) REFERENCES notifications_delivery (id) ON DELETE CASCADE;
               ALTER TABLE notifications_collected ADD CONSTRAINT collected_digest_exists
                 FOREIGN KEY (digest_id) REFERENCES notifications_digest (id) ON DELETE CASCADE""",
            """ALTER TABLE notifications_collected DROP CONSTRAINT collected_digest_exists;
               ALTER TABLE notifications_collected DROP CONSTRAINT collected_delivery_exists;
               ALTER TABLE notifications_digest DROP CONSTRAINT digest_delivery_exists""",
        ),
    ]
