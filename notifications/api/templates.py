"""Managing mail templates with their languages, layouts and partials."""

from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models, transaction
from rest_framework import serializers

from events.api.base import ConfigViewSet, ModelSerializer
from events.models import EventType
from notifications import vet_mail
from notifications.models import EmailLayout, EmailPartial, EmailTemplate, EmailVariant

_WORDING = ["locale", "subject", "preheader", "text", "html"]


class VariantSerializer(ModelSerializer):
    """The words of one other language."""

    class Meta:
        model = EmailVariant
        fields = _WORDING
        validators: list[object] = []

    def unclean(self) -> set[str]:
        """The template may not be saved yet."""
        return {"template"}


class TemplateSerializer(ModelSerializer):
    """A predefined mail; a list of variants that is given replaces the whole list."""

    nested: ClassVar[frozenset[str]] = frozenset({"variants"})

    event_types = serializers.SlugRelatedField("code", many=True, queryset=EventType.objects.all())
    layout = serializers.SlugRelatedField(
        "name", queryset=EmailLayout.objects.all(), required=False, allow_null=True
    )
    variants = VariantSerializer(many=True, required=False)

    class Meta:
        model = EmailTemplate
        fields = ["id", "name", "event_types", "layout", *_WORDING, "variants", "updated_at"]
        validators: list[object] = []

    def validate_event_types(self, event_types: list[EventType]) -> list[EventType]:
        """At least one: without any there are no tokens."""
        if not event_types:
            raise serializers.ValidationError("Name at least one event type: its tokens may be used.")
        return event_types

    def vet(self, instance: EmailTemplate, attrs: dict[str, Any]) -> None:
        """Check it as it will be rendered, in each language."""
        saved = instance.pk is not None
        event_types = attrs.get("event_types", instance.event_types.all() if saved else ())
        variants = (
            [EmailVariant(**row) for row in attrs["variants"]]
            if "variants" in attrs
            else list(instance.variants.all() if saved else ())
        )
        vet_mail.check_template(instance, event_types=event_types, variants=variants)

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> EmailTemplate:
        """Save the template and its languages, or nothing."""
        variants = validated_data.pop("variants", None)
        template: EmailTemplate = super().create(validated_data)
        return self._replace(template, variants)

    @transaction.atomic
    def update(self, instance: Any, validated_data: dict[str, Any]) -> EmailTemplate:
        """Save what is given; languages that are given replace the old ones."""
        variants = validated_data.pop("variants", None)
        template: EmailTemplate = super().update(instance, validated_data)
        return self._replace(template, variants)

    def _replace(self, template: EmailTemplate, variants: list[dict[str, Any]] | None) -> EmailTemplate:
        if variants is not None:
            template.variants.all().delete()
            EmailVariant.objects.bulk_create(EmailVariant(template=template, **row) for row in variants)
        return template


class LayoutSerializer(ModelSerializer):
    """The frame around mails."""

    class Meta:
        model = EmailLayout
        fields = ["id", "name", "html", "text", "updated_at"]

    def vet(self, instance: EmailLayout, attrs: dict[str, Any]) -> None:  # noqa: ARG002 - others read it
        """Try it with the templates that have it."""
        vet_mail.check_layout(instance)


class PartialSerializer(ModelSerializer):
    """A piece that layouts and templates put in."""

    class Meta:
        model = EmailPartial
        fields = ["id", "name", "html", "text", "updated_at"]

    def vet(self, instance: EmailPartial, attrs: dict[str, Any]) -> None:  # noqa: ARG002 - others read it
        """Try it with all templates."""
        vet_mail.check_partial(instance)


class TemplateViewSet(ConfigViewSet):
    """Mail templates."""

    queryset = EmailTemplate.objects.select_related("layout").prefetch_related("event_types", "variants")
    serializer_class = TemplateSerializer
    filterset_fields = ["name", "event_types__code"]


class LayoutViewSet(ConfigViewSet):
    """Layouts of mails."""

    queryset = EmailLayout.objects.all()
    serializer_class = LayoutSerializer
    filterset_fields = ["name"]


class PartialViewSet(ConfigViewSet):
    """Partials of mails."""

    queryset = EmailPartial.objects.all()
    serializer_class = PartialSerializer
    filterset_fields = ["name"]

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete it, unless a mail needs it."""
        try:
            vet_mail.check_partial(cast(EmailPartial, instance), is_deleted=True)
        except DjangoValidationError as error:
            raise serializers.ValidationError({"id": error.messages}) from None
        super().perform_destroy(instance)
