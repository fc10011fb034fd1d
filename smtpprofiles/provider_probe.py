"""The steps of a test of a provider: its name, its address, whether it knows the key, a test mail."""

from base64 import b64encode
from urllib.parse import urljoin, urlsplit

from . import provider
from .account import ProviderAccount, SendStatus
from .deadline import Deadline
from .https_session import GuardedSession, Lost, Unreached, current
from .providers import PROVIDERS, Kind
from .sigv4 import Sigv4
from .smtp_probe import vet_address
from .timeline import Timeline

SETTING = "OUTBOUND_ALLOWED_NETWORKS"


def run(account: ProviderAccount, timeline: Timeline, *, recipient: str, message: bytes) -> None:
    """Go through the steps until one fails."""
    known = PROVIDERS[Kind(account.kind)]
    base = f"{provider.base_url(account).rstrip('/')}/"
    with Deadline(account.timeout_seconds) as deadline:
        if not vet_address(timeline, urlsplit(base).hostname or "", 443, SETTING, deadline):
            return
    is_reached = _ask(account, timeline, urljoin(base, known.check.format(domain=account.domain)))
    # Also where the key was refused: one that may only send is good for this.
    if recipient and is_reached:
        _send(account, timeline, recipient, message)


def _ask(account: ProviderAccount, timeline: Timeline, url: str) -> bool:
    """One call that changes nothing and needs the key; return whether there was an answer."""
    known = PROVIDERS[Kind(account.kind)]
    timeline.begin("Key")
    session = GuardedSession()
    with Deadline(account.timeout_seconds) as deadline:
        current.begin(deadline, account.connect_seconds)
        try:
            answer = session.request("GET", url, headers=_credentials(account), auth=_signature(account))
        except (Unreached, Lost) as error:
            timeline.stop(
                failure=str(error),
                advice="Check the API address, and whether a firewall lets this machine out to it.",
            )
            return False
        finally:
            current.end()
            session.close()
    timeline.say(f"C: GET {url}")
    said = provider.mask(account, " ".join(answer.text.split()))[:300]
    timeline.say(f"S: {answer.status_code} {said}".rstrip())
    if 200 <= answer.status_code <= 299:
        return True
    advice = {
        401: f"Enter the {known.key_label} again. If it may only send, this call is refused although it works: "
        "send a test mail to find out.",
        403: "If the key may only send, this call is refused although it works: send a test mail to find out.",
        404: "Check the sending domain and the API address: a region has one of its own.",
        429: "Try again in some minutes.",
    }.get(answer.status_code, f"{known.label} says why above.")
    timeline.stop(failure=f"S: {answer.status_code}", advice=advice)
    return True


def _send(account: ProviderAccount, timeline: Timeline, recipient: str, message: bytes) -> None:
    timeline.begin("Test mail")
    result = provider.send(account, message, recipient=recipient)
    for line in result.transcript.splitlines():
        timeline.say(line)
    if result.status is not SendStatus.ACCEPTED:
        advice = {
            SendStatus.PROFILE_FAULT: "Check the key, the sending domain and that the From address is verified there.",
            SendStatus.TEMPORARY: "Try again in some minutes.",
            SendStatus.UNKNOWN: "It may have been sent: look into the mailbox before you try again.",
        }.get(result.status, "The provider says why above.")
        timeline.stop(failure=result.text, advice=advice)


def _signature(account: ProviderAccount) -> Sigv4 | None:
    if not PROVIDERS[Kind(account.kind)].needs_region:
        return None
    return Sigv4(
        key_id=account.key, secret=account.secret, token=account.token, region=account.region, service="ses"
    )


def _credentials(account: ProviderAccount) -> dict[str, str]:
    known = PROVIDERS[Kind(account.kind)]
    if known.needs_region:
        return {}  # signed instead
    if known.check_key == "Bearer":
        return {"Authorization": f"Bearer {account.key}"}
    if known.check_key:
        return {known.check_key: account.key}
    pair = f"{account.key}:{account.secret}" if known.secret else f"api:{account.key}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
