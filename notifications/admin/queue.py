"""Queues again, now with what their order means to what waits."""

from django.contrib import admin
from django.core.exceptions import ValidationError

from events.admin.queues import QueueAdmin
from events.admin.typed import ModelForm
from events.models import Queue
from events.refusals import StateConflict
from notifications.reorder import refuse_reordering

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(Queue)


class QueueForm(ModelForm[Queue]):
    """A queue whose order changes only while nothing of it waits."""

    def clean_is_ordered(self) -> bool:
        """As it is stored, unless nothing waits."""
        is_ordered = bool(self.cleaned_data["is_ordered"])
        if self.instance.pk and "is_ordered" in self.changed_data:
            try:
                refuse_reordering(self.instance)
            except StateConflict as refusal:
                raise ValidationError(refusal.detail) from None
        return is_ordered


@admin.register(Queue)
class QueueWithLanesAdmin(QueueAdmin):
    """Queues with their routing."""

    form = QueueForm
