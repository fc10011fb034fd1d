"""Indexes of deliveries, built while deliveries are made and sent: not in a transaction, and without its lock."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("notifications", "0016_storm_control"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("replay__isnull", False)), fields=["replay"], name="delivery_by_replay"
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(
                    ("status", "held"), models.Q(("hold_cause__in", ["paused", "collected"]), _negated=True)
                ),
                fields=["-id"],
                name="delivery_for_a_person",
            ),
        ),
    ]
