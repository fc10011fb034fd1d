"""Customers, their invoices, and what inherits from those."""

from typing import ClassVar

from django.db import models


class Customer(models.Model):
    """Who pays."""

    objects: ClassVar["models.Manager[Customer]"] = models.Manager()
    number = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=50)
    status = models.CharField(max_length=20, default="Active")
    password = models.CharField(max_length=50, default="not for others")

    def __str__(self) -> str:
        return self.number


class Invoice(models.Model):
    """What is to be paid."""

    objects: ClassVar["models.Manager[Invoice]"] = models.Manager()
    customer = models.ForeignKey(Customer, models.CASCADE)
    customer_number = models.CharField(max_length=20)
    number = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    paid = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    status = models.CharField(max_length=20, default="draft")
    due_on = models.DateField(null=True)
    open_total = models.GeneratedField(
        expression=models.F("total") - models.F("paid"),
        output_field=models.DecimalField(max_digits=10, decimal_places=2),
        db_persist=True,
    )

    def __str__(self) -> str:
        return self.number


class ProxyInvoice(Invoice):
    """The same row, saved as another class."""

    objects: ClassVar["models.Manager[ProxyInvoice]"] = models.Manager()

    class Meta:
        proxy = True


class CreditNote(Invoice):
    """A row of its own below an invoice's."""

    objects: ClassVar["models.Manager[CreditNote]"] = models.Manager()
    reason = models.CharField(max_length=50)


class Note(models.Model):
    """Followed by nobody."""

    objects: ClassVar["models.Manager[Note]"] = models.Manager()
    text = models.TextField()

    def __str__(self) -> str:
        return self.text
