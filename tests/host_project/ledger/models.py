"""Bookings."""

from typing import ClassVar

from django.db import models


class Entry(models.Model):
    """One booking."""

    objects: ClassVar["models.Manager[Entry]"] = models.Manager()
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    booked_by = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.booked_by
