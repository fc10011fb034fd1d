"""Amazon SES without boto3: its API of today (SESv2, SendEmail), signed by us, over the guarded connections.

The mail goes out as it was rendered. SES gives it a Message-ID of its own; ours goes along as X-Message-ID.
"""

import json
from base64 import b64encode
from typing import Any

import requests
from anymail.backends.base_requests import AnymailRequestsBackend, RequestsPayload
from anymail.message import AnymailRecipientStatus

from .sigv4 import Sigv4


class EmailBackend(AnymailRequestsBackend):  # type: ignore[misc]  # it comes without types
    """What anymail asks of a backend, for one account and region."""

    esp_name = "Amazon SES"

    def __init__(
        self,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str = "",
        region: str,
        bounce_address: str = "",
        api_url: str,
        **options: Any,
    ) -> None:
        super().__init__(f"{api_url.rstrip('/')}/", **options)
        self.bounce_address = bounce_address
        self.signature = Sigv4(
            key_id=access_key_id, secret=secret_access_key, token=session_token, region=region, service="ses"
        )

    def build_message_payload(self, message: Any, defaults: Any) -> "Payload":
        """Return the request for one mail to one recipient."""
        return Payload(message, defaults, self)

    def parse_recipient_status(
        self, response: requests.Response, payload: Any, message: Any
    ) -> dict[str, AnymailRecipientStatus]:
        """Return what became of the recipient: taken."""
        message_id = self.deserialize_json_response(response, payload, message)["MessageId"]
        status = AnymailRecipientStatus(message_id=message_id, status="queued")
        return dict.fromkeys(message.to, status)


class Payload(RequestsPayload):  # type: ignore[misc]  # it comes without types
    """The mail as it is: none of its fields is taken apart."""

    base_message_attrs: tuple[Any, ...] = ()
    anymail_message_attrs: tuple[Any, ...] = ()
    esp_message_attrs: tuple[Any, ...] = ()

    def init_payload(self) -> None:
        """Put the request together."""
        message = self.message
        known_as = message.extra_headers["X-Message-ID"]
        text = f"X-Message-ID: {known_as}\r\n".encode() + message.original
        self.auth = self.backend.signature
        self.headers = {"Content-Type": "application/json"}
        self.data = {
            "Content": {"Raw": {"Data": b64encode(text).decode()}},
            "Destination": {"ToAddresses": list(message.to)},
            "EmailTags": [{"Name": "delivery", "Value": message.metadata["delivery"]}],
        }
        if self.backend.bounce_address:
            self.data["FeedbackForwardingEmailAddress"] = self.backend.bounce_address

    def get_api_endpoint(self) -> str:
        """Of SESv2."""
        return "v2/email/outbound-emails"

    def serialize_data(self) -> str:
        """The same mail is the same text each time."""
        return json.dumps(self.data, sort_keys=True)
