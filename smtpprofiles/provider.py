"""Hand in mail to a provider's API, one message for one recipient, and say exactly how it went."""

import os
import re
import threading
import warnings

import requests
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailError,
    AnymailNotSupportedWarning,
    AnymailRecipientsRefused,
    AnymailRequestsAPIError,
)
from anymail.message import AnymailStatus

from .account import Phase, ProviderAccount, SendResult, SendStatus
from .deadline import Deadline
from .https_session import GuardedSession, Lost, Unreached, current
from .parse_back import parse_back
from .providers import PROVIDERS, Kind

_TEXT_LIMIT = 2_000
# Which failures to connect lie with the profile and not with the network.
_FAULTS = ("address_refused", "tls")
_PASSING = (408, 425, 429)
# 402 is an account that is not paid, 404 a domain or region that is not there.
_OF_THE_PROFILE = (401, 402, 403, 404)

_MISSHAPEN = (AttributeError, IndexError, KeyError)
_REFUSALS = {"invalid", "rejected", "failed"}

_backends: dict[ProviderAccount, AnymailRequestsBackend] = {}
_lock = threading.Lock()


def send(  # noqa: PLR0911 - a decision list
    account: ProviderAccount, message: bytes, *, recipient: str
) -> SendResult:
    """Hand in one message (RFC 5322); whatever happens is the result, within `account.timeout_seconds`."""
    provider = PROVIDERS[Kind(account.kind)]
    with Deadline(account.timeout_seconds) as deadline:
        current.begin(deadline, account.connect_seconds)
        try:
            mail = parse_back(message, recipient=recipient, provider=provider)
            current.headers = {"Idempotency-Key": mail.extra_headers[provider.message_id_header]}
            _backend(account).send_messages([mail])
            return _answered(account, mail.anymail_status)  # type: ignore[attr-defined]
        except Unreached as error:
            status = SendStatus.PROFILE_FAULT if error.error_class in _FAULTS else SendStatus.TEMPORARY
            return _unanswered(account, status, Phase.CONNECT, error.error_class, str(error))
        except Lost as error:
            text = f"{error} It may have the mail."
            return _unanswered(account, SendStatus.UNKNOWN, Phase.MESSAGE, error.error_class, text)
        except AnymailRecipientsRefused as error:
            text = f"{provider.label} refused the recipient"
            return _judged(account, SendStatus.PERMANENT, error.response, text=text, error_class="recipient")
        except AnymailRequestsAPIError as error:
            return _refused(account, error)
        except AnymailConfigurationError as error:
            return _unanswered(account, SendStatus.PROFILE_FAULT, Phase.AUTH, "provider", str(error))
        except _MISSHAPEN as error:
            # anymail looked for a member that its provider always sends.
            text = f"{provider.label} answered in a form of its own ({error!r}). It may have the mail."
            return _unanswered(account, SendStatus.UNKNOWN, Phase.MESSAGE, "protocol", text)
        except (AnymailError, ValueError) as error:
            # Its arguments only: anymail's exceptions carry the payload and the key.
            text = " ".join(str(part) for part in error.args)
            return _unanswered(account, SendStatus.PERMANENT, Phase.DATA, "message", text)
        finally:
            current.end()


def close(account: ProviderAccount | None = None) -> None:
    """Close the idle connections kept for an account, or all of them."""
    with _lock:
        keys = list(_backends) if account is None else [account]
        gone = [_backends.pop(key) for key in keys if key in _backends]
    for backend in gone:
        # Not the backend's own close(): a send that is under way has it, too.
        backend.session.close()


def guarded(account: ProviderAccount) -> AnymailRequestsBackend:
    """Return a new backend of anymail's for this account, whose session is the guarded one."""
    provider = PROVIDERS[Kind(account.kind)]
    options: dict[str, object] = {provider.key: account.key}
    if provider.secret:
        options[provider.secret] = account.secret
    if provider.needs_domain:
        options["sender_domain"] = account.domain
    if provider.token:
        options[provider.token] = account.token
    if provider.needs_region:
        options["region"] = account.region
    if provider.mails_bounces:
        options["bounce_address"] = account.bounces_to
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnymailNotSupportedWarning)  # SendGrid: told where it is chosen
        backend = provider.backend(**options, api_url=base_url(account), timeout=account.timeout_seconds)
    backend.session = GuardedSession()
    return backend


def base_url(account: ProviderAccount) -> str:
    """Where the provider's API is reached for this account."""
    return account.url or PROVIDERS[Kind(account.kind)].url.format(region=account.region)


def mask(account: ProviderAccount, text: str) -> str:
    """The text without the credentials, should the provider have repeated them."""
    for secret in filter(None, (account.key, account.secret, account.token)):
        text = text.replace(secret, "****")
    return text.replace("\0", "")


def _backend(account: ProviderAccount) -> AnymailRequestsBackend:
    found = _backends.get(account)
    if found is None:
        with _lock:
            found = _backends.get(account)
            if found is None:
                found = _backends[account] = guarded(account)
    return found


def _answered(account: ProviderAccount, status: AnymailStatus) -> SendResult:
    """The result of an answer that anymail found nothing wrong with."""
    response, label = status.esp_response, PROVIDERS[Kind(account.kind)].label
    # Postmark's 422 comes here, too, and so does a refusal of the one recipient among none.
    if not 200 <= response.status_code <= 299 or (status.status or set()) <= _REFUSALS:
        return _recipient_refused(account, response)
    return _judged(
        account,
        SendStatus.ACCEPTED,
        response,
        text=f"{label} took the message: {', '.join(sorted(status.status))}",
        provider_id=_plain(status.message_id),
    )


def _recipient_refused(account: ProviderAccount, response: requests.Response) -> SendResult:
    text = f"{PROVIDERS[Kind(account.kind)].label} refused the recipient: {_said(account, response)}"
    return _judged(account, SendStatus.PERMANENT, response, text=text, error_class="recipient")


def _said(account: ProviderAccount, response: requests.Response) -> str:
    return mask(account, " ".join(response.text.split()))[:300]


def _refused(account: ProviderAccount, error: AnymailRequestsAPIError) -> SendResult:
    """The result that an answer stands for which is not an acceptance."""
    code, provider = error.status_code, PROVIDERS[Kind(account.kind)]
    label = provider.label
    if code is None or 200 <= code <= 299:
        text = f"{label} answered {code or ''} with something that cannot be read. It may have the mail."
        return _judged(account, SendStatus.UNKNOWN, error.response, text=text, error_class="protocol")
    said = _said(account, error.response)
    text = f"{label} answered {code}{f': {said}' if said else ''}"
    named = error.response.headers.get("x-amzn-errortype", "") + said
    if provider.passing_words and re.search(provider.passing_words, named):
        return _judged(account, SendStatus.TEMPORARY, error.response, text=text, error_class="http_4xx")
    if provider.fault_words and re.search(provider.fault_words, named):
        return _judged(account, SendStatus.PROFILE_FAULT, error.response, text=text, error_class="provider")
    if code in _OF_THE_PROFILE or 300 <= code <= 399:
        return _judged(account, SendStatus.PROFILE_FAULT, error.response, text=text, error_class="provider")
    if code in _PASSING or code >= 500:
        kind = "http_5xx" if code >= 500 else "http_4xx"
        return _judged(account, SendStatus.TEMPORARY, error.response, text=text, error_class=kind)
    return _judged(account, SendStatus.PERMANENT, error.response, text=text, error_class="http_4xx")


def _judged(
    account: ProviderAccount,
    status: SendStatus,
    response: requests.Response,
    *,
    text: str,
    error_class: str = "",
    provider_id: str = "",
) -> SendResult:
    return SendResult(
        status=status,
        phase=Phase.MESSAGE,
        code=response.status_code,
        text=text,
        error_class=error_class,
        transcript=mask(
            account,
            f"C: POST {response.url}\nS: {response.status_code} {response.reason}\n{response.text[:_TEXT_LIMIT]}",
        ),
        address=current.address,
        retry_after=response.headers.get("Retry-After", ""),
        provider_id=provider_id,
    )


def _unanswered(
    account: ProviderAccount, status: SendStatus, phase: Phase, error_class: str, text: str
) -> SendResult:
    return SendResult(
        status=status,
        phase=phase,
        text=mask(account, text),
        error_class=error_class,
        transcript=f"-- {mask(account, text)}",
        address=current.address,
    )


def _plain(message_id: object) -> str:
    """One id: there was one recipient."""
    return message_id.strip("<>")[:200] if isinstance(message_id, str) else ""


def _start_afresh() -> None:
    global _backends, _lock
    _backends, _lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_start_afresh)
