"""What a test or a check of an endpoint is made of, asked alike by the console and the API."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from events import ids
from events.models import Event, EventType

from .models import Endpoint, Subscription


class CheckForm(forms.Form):
    """Sample data of an event type, as a subscription would send it."""

    error_css_class = "errors"
    use_required_attribute = False  # the browser's own bubbles would come before our sentences

    event_type = forms.ModelChoiceField(
        EventType.objects.none(),
        label="Event type",
        to_field_name="code",
        required=False,
        empty_label=None,
        help_text="Whose sample data are sent.",
        error_messages={
            "invalid_choice": "There is no active event type of this code; GET event-types/ lists them."
        },
    )
    subscription = forms.ModelChoiceField(
        Subscription.objects.none(),
        label="As this subscription sends it",
        required=False,
        empty_label="none: nothing added",
        help_text="With its parameters. Only subscriptions that call this endpoint.",
        error_messages={"invalid_choice": "This is no subscription that calls this endpoint."},
    )

    def __init__(self, endpoint: Endpoint, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.endpoint = endpoint
        types = EventType.objects.filter(is_active=True).order_by("code")
        self._field("event_type").queryset = types.only("code", "label", "sample", "ordering_prefix")
        own = Subscription.objects.filter(endpoint=endpoint).order_by("name").only("name", "endpoint")
        self._field("subscription").queryset = own
        self.fields["event_type"].initial = _usual(endpoint)

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def clean(self) -> dict[str, Any]:
        """Without an event type, one that the endpoint is for."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not cleaned.get("event_type") and "event_type" not in self.errors:
            usual = _usual(self.endpoint)
            if usual is None:
                raise ValidationError(
                    {"event_type": "There is no active event type: add one to the catalog."}
                )
            cleaned["event_type"] = usual
        return cleaned

    @property
    def sample(self) -> EventType:
        """Whose sample is sent."""
        found: EventType = self.cleaned_data["event_type"]
        return found


class TrialForm(CheckForm):
    """The same, or a past event."""

    event = forms.CharField(
        label="Or a past event",
        required=False,
        max_length=50,
        widget=forms.TextInput(attrs={"size": 40, "autocomplete": "off", "spellcheck": "false"}),
        help_text="Its id, evt_…: its own data are sent, under a new webhook-id. Then the event type is its own.",
    )
    field_order = ["event_type", "event", "subscription"]

    def clean_event(self) -> Event | None:
        """Find it by its id."""
        text = self.cleaned_data["event"]
        if not text:
            return None
        uid = ids.parse("evt", text)
        found = Event.objects.select_related("type").filter(uid=uid).first() if uid else None
        if found is None:
            raise ValidationError(
                "There is no event of this id. It looks like evt_ and 32 digits and letters."
            )
        return found

    @property
    def about(self) -> EventType | Event:
        """The event, where one is given."""
        event: Event | None = self.cleaned_data.get("event")
        return event or self.sample


def _usual(endpoint: Endpoint) -> EventType | None:
    """Return an event type that the endpoint is called for, else the first of the catalog."""
    active = EventType.objects.filter(is_active=True).order_by("code")
    chosen = active.filter(subscriptions__endpoint=endpoint).first()
    return chosen or active.filter(queues__subscriptions__endpoint=endpoint).first() or active.first()
