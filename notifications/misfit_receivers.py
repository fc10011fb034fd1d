"""When rows are checked again: the catalog was synced, or a row that needed attention was mended."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from events.signals import catalog_synced

from . import misfits
from .models import EmailTemplate, Filter, Misfit, Parameter, Recipient, Subscription


@receiver(catalog_synced)
def look_at_all(has_changed: bool = True, **_: Any) -> None:
    """A later version may offer other tokens; most starts bring nothing new."""
    if has_changed:
        misfits.recheck_all()


@receiver(post_save, sender=Subscription)
@receiver(post_save, sender=EmailTemplate)
def look_again(instance: Subscription | EmailTemplate, created: bool, **_: Any) -> None:
    """Once all of it is saved; what was saved fits, and what needs no attention is left alone."""
    if not created and Misfit.objects.filter(**_of(instance)).exists():
        transaction.on_commit(partial(_note, type(instance), instance.pk), robust=True)


@receiver(post_save, sender=Parameter)
@receiver(post_save, sender=Filter)
@receiver(post_save, sender=Recipient)
@receiver(post_delete, sender=Parameter)
@receiver(post_delete, sender=Filter)
@receiver(post_delete, sender=Recipient)
def look_at_whole(instance: Parameter | Filter | Recipient, **_: Any) -> None:
    """What is wrong with a subscription is mostly in one of its parts."""
    if Misfit.objects.filter(subscription=instance.subscription_id).exists():
        transaction.on_commit(partial(_note, Subscription, instance.subscription_id), robust=True)


def _of(instance: Subscription | EmailTemplate) -> dict[str, Any]:
    return {"email_template" if isinstance(instance, EmailTemplate) else "subscription": instance}


def _note(model: type[Subscription | EmailTemplate], pk: int) -> None:
    row = model.objects.filter(pk=pk).first()
    if row is not None:
        misfits.note(row)
