"""Parameters: what an administrator adds to the callouts of a subscription."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from smtpprofiles.encryption import EncryptedTextField

from .subscription import Subscription

PARAMETER_NAME = RegexValidator(
    r"^[A-Za-z][A-Za-z0-9_-]*$", "Start with a letter; use letters, digits, - and _ only."
)
LEAST_SECRET = 8  # characters: what is shorter could not be masked in the log without hiding half of it


class ParameterManager(models.Manager["Parameter"]):
    """Reads secrets only where they are asked for: a list must not break where no key opens one."""

    def get_queryset(self) -> models.QuerySet["Parameter"]:
        """Without the secret, which is read when it is looked at."""
        return super().get_queryset().defer("secret")


class Parameter(models.Model):
    """A name/value pair added to the callout."""

    class Source(models.TextChoices):
        TOKEN = "token", "Token"
        DATA = "data", "Data source"
        STATIC = "static", "Static text"
        LIQUID = "liquid", "Liquid expression"

    class Placement(models.TextChoices):
        BODY = "body", "Body"
        HEADER = "header", "Header"
        QUERY = "query", "Query"

    class IfMissing(models.TextChoices):
        EMPTY = "empty", "Send it empty"
        DEFAULT = "default", "Send the default"
        FAIL = "fail", "Hold the delivery"

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="parameters")
    name = models.CharField(max_length=64, validators=[PARAMETER_NAME])
    source = models.CharField(max_length=6, choices=Source, default=Source.TOKEN)
    value = models.CharField(
        max_length=1000,
        blank=True,
        help_text="Token: invoice.total. Data source: a field of an object that the event leads to, such as "
        "account.segment. Liquid: {{ invoice.total | money: invoice.currency }}. Static: the text.",
    )
    is_secret = models.BooleanField(
        "secret",
        default=False,
        help_text="Static text only: kept encrypted, never shown again, masked in every log.",
    )
    secret = EncryptedTextField(blank=True, default="", editable=False)
    placement = models.CharField(max_length=6, choices=Placement, default=Placement.BODY)
    if_missing = models.CharField(
        "without a value",
        max_length=7,
        choices=IfMissing,
        default=IfMissing.EMPTY,
        help_text="What to do with an event that has no value for it.",
    )
    default_value = models.CharField(
        "default", max_length=200, blank=True, help_text="Sent instead, if that is chosen."
    )

    objects = ParameterManager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "name"], name="parameter_name_once"),
            models.CheckConstraint(
                condition=Q(is_secret=False) | Q(source="static", value=""),
                name="parameter_secret_not_in_clear",
                violation_error_message="A secret is static text, and kept encrypted.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Move the text of a secret to where it is encrypted; a value is missing nowhere."""
        faults: dict[str, str] = {}
        if self.is_secret:
            faults |= self._keep_secret()
        else:
            self.secret = ""
            if not self.value:
                faults["value"] = "Write the text, the token, the path or the Liquid that gives the value."
        if self.if_missing == self.IfMissing.DEFAULT and not self.default_value:
            faults["default_value"] = (
                "Write what is sent for an event without a value, or choose another way."
            )
        elif self.if_missing != self.IfMissing.DEFAULT and self.default_value:
            faults["default_value"] = "Empty this, or choose to send the default for events without a value."
        if self.source == self.Source.STATIC and self.if_missing != self.IfMissing.EMPTY:
            faults["if_missing"] = "Static text is never without a value: leave this as it was."
        if faults:
            raise ValidationError(faults)

    def _keep_secret(self) -> dict[str, str]:
        if self.source != self.Source.STATIC:
            return {"is_secret": "Only static text can be secret: choose static text, or untick this."}
        if self.value:
            if len(self.value) < LEAST_SECRET:
                return {"value": f"A secret has at least {LEAST_SECRET} characters."}
            self.secret, self.value = self.value, ""
        elif not self._has_secret():
            return {"value": "Write the secret text."}
        return {}

    def _has_secret(self) -> bool:
        if "secret" not in self.get_deferred_fields():
            return bool(self.secret)
        # Whether there is one shows without opening it.
        stored: Any = type(self)._base_manager.filter(pk=self.pk).values_list("is_secret", flat=True).first()
        return bool(stored)
