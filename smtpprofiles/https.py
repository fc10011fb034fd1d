"""One HTTPS POST to a server that an administrator named: guarded, verified, bounded, never redirected."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .deadline import Deadline
from .https_session import BODY_LIMIT, GuardedSession, Lost, Unreached, current


class Unreachable(Exception):  # noqa: N818 - named for the fact
    """There was no answer; says why in a sentence."""


class Misconfigured(Unreachable):
    """There was no answer, and there will be none until somebody changes what is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsAnswer:
    """A final answer, read to its end."""

    status: int
    fields: Mapping[str, str]  # by lower-case name
    content: bytes = field(repr=False)


def post(
    url: str, *, body: bytes, headers: Mapping[str, str], seconds: float, ca_certificate: str = ""
) -> HttpsAnswer:
    """POST once and return the answer, within `seconds` in all. Unreachable, or Misconfigured, says why not."""
    host = urlsplit(url).hostname or ""
    try:
        session = GuardedSession(ca_certificate)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise Misconfigured(f"The CA certificate to trust for {host} cannot be read.") from error
    with session, Deadline(seconds) as deadline:
        current.begin(deadline, seconds)
        try:
            response = session.request("POST", url, data=body, headers=dict(headers))
            is_cut = current.is_cut
        except (Unreached, Lost) as error:
            if error.error_class == "timeout":
                raise Unreachable(f"{host} did not answer within {seconds:.1f} seconds.") from error
            kind = Misconfigured if error.error_class == "address_refused" else Unreachable
            raise kind(str(error)) from error
        finally:
            current.end()
    if is_cut:
        raise Unreachable(f"The answer of {host} has more than {BODY_LIMIT:,} bytes.")
    return HttpsAnswer(
        status=response.status_code,
        fields={name.lower(): value for name, value in response.headers.items()},
        content=response.content,
    )
