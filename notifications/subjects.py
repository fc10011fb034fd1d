"""What audit entries are about: the row behind "endpoint 7", and what it is called."""

from collections import defaultdict
from collections.abc import Iterable

from django.apps import apps
from django.db.models import Model

from smtpprofiles.encryption import EncryptedTextField, unopened

APPS = ("events", "notifications", "smtpprofiles", "auth")
# How actions have named models where they did not by the model's own name.
_ALSO = {"smtp profile": "smtpprofile", "firing": "scheduledfiring", "api key": "apikey"}


def model_of(noun: str) -> type[Model] | None:
    """Return the model that subjects name by a noun."""
    wanted = _ALSO.get(noun, noun)
    return next((found for label in APPS if (found := _models(label).get(wanted))), None)


def parse(subject: str) -> tuple[type[Model], int] | None:
    """Return the model and number behind "endpoint 7"; None where it is something else."""
    noun, _, number = subject.rpartition(" ")
    model = model_of(noun) if noun and number.isdecimal() and len(number) < 19 else None
    return (model, int(number)) if model else None


def names(subjects: Iterable[str]) -> dict[str, str]:
    """Return what those that are there are called, a query for each kind."""
    wanted: defaultdict[type[Model], dict[int, str]] = defaultdict(dict)
    for subject in subjects:
        if found := parse(subject):
            wanted[found[0]][found[1]] = subject
    told = {}
    # Without the secrets, of which one may be what cannot be read.
    with unopened():
        for model, by_id in wanted.items():
            for row in model._base_manager.filter(pk__in=by_id):
                told[by_id[row.pk]] = str(row)
    return told


def secret_fields(model: type[Model]) -> list[str]:
    """Return the fields of a model that are kept encrypted."""
    return [field.name for field in model._meta.fields if isinstance(field, EncryptedTextField)]


def _models(label: str) -> dict[str, type[Model]]:
    return {str(model._meta.model_name): model for model in apps.get_app_config(label).get_models()}
