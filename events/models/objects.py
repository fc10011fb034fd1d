"""Billing objects as last reported, and the kinds that there are."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events.exact import ExactJSONField

KIND_CODE = RegexValidator(
    r"^[a-z][a-z0-9_]*$", "Write lower-case letters, digits and underscores, such as bill_run."
)
FIELD_PATH = RegexValidator(
    r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
    "Write a field of the report, with dots into objects, such as account.id.",
)


class ObjectKind(models.Model):
    """One kind of billing object, and where its reports say what; built-in ones are synced from code."""

    code = models.CharField(
        max_length=50, unique=True, validators=[KIND_CODE], help_text="As reports name it, e.g. service."
    )
    label = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        help_text="The one object it belongs to: service → package → account. Empty: none.",
    )
    parent_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="Where its reports hold the parent's id. Empty: below the parent's code, such as account.id.",
    )
    name_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field people know it by, e.g. name.",
    )
    status_path = models.CharField(
        max_length=100,
        blank=True,
        validators=[FIELD_PATH],
        help_text="The field with its status, e.g. state.",
    )
    is_builtin = models.BooleanField("built in", default=False, editable=False)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(parent=models.F("id")),
                name="object_kind_not_its_own_parent",
                violation_error_message="A kind cannot be its own parent.",
            ),
            models.CheckConstraint(
                condition=Q(parent__isnull=False) | Q(parent_path=""),
                name="object_kind_parent_path_has_parent",
                violation_error_message="Without a parent there is no parent's id to be found; clear it.",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse a circle of parents."""
        seen, above = [self.code], self.parent
        while above is not None:
            if above.code in seen:
                circle = " → ".join([*seen, above.code])
                raise ValidationError({"parent": f"That would be a circle: {circle}. Choose another parent."})
            seen.append(above.code)
            above = above.parent


class BillingObject(models.Model):
    """The last known state of an account, service, invoice, …, as the billing system reported it."""

    kind = models.CharField(max_length=50, help_text="Code of its kind: account, package, service, …")
    external_id = models.CharField("id", max_length=100, help_text="Its id in the billing system.")
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        help_text="What it belongs to: service → package → account.",
    )
    state = ExactJSONField(default=dict)
    version = models.BigIntegerField(null=True, help_text="A report with a lower version is stale.")
    created_at = models.DateTimeField(db_default=Now(), help_text="When it was first heard of.")
    reported_at = models.DateTimeField(
        null=True, help_text="Empty: so far only named as the parent of another."
    )
    deleted_at = models.DateTimeField(null=True)
    is_deleted = models.GeneratedField(
        expression=models.ExpressionWrapper(Q(deleted_at__isnull=False), models.BooleanField()),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["kind", "external_id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "external_id"], name="billing_object_once"),
            models.CheckConstraint(
                condition=~Q(parent=models.F("id")), name="billing_object_not_its_own_parent"
            ),
        ]
        indexes = [
            # Retention looks for those deleted long ago (events/prune.py).
            models.Index(
                fields=["deleted_at"], name="billing_object_deleted", condition=Q(deleted_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.external_id}"
