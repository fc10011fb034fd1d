"""What an attempt or a test means in plain words, and what would mend it."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import remedies
from .models import Attempt
from .transports.base import Outcome

_LOCATION = re.compile(r"^location: *(\S+) *$", re.IGNORECASE | re.MULTILINE)
_REQUEST = re.compile(r"\APOST (\S+) HTTP/1\.1\nHost: (\S+)$", re.MULTILINE)


# What is known of a callout.
Told = Outcome | Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A plain verdict, and what to do about it; nothing to do where it was accepted."""

    verdict: str
    remedy: str


def advise(told: Told) -> Advice:  # noqa: PLR0911 - a decision list
    """Return what happened and what would mend it."""
    match told.error_class:
        case "":
            return Advice(verdict=f"They accepted it with {told.status_code}.", remedy="")
        case "redirect":
            return _redirect(told)
        case "dns":
            return Advice(
                verdict="The host name leads nowhere.",
                remedy="Correct the host in the base URL, or the receiver publishes the name in the public DNS.",
            )
        case "address_refused":
            return Advice(
                verdict="The host leads to an address that is not connected to.",
                remedy="A receiver on the internet publishes public addresses only. For one in your own network, "
                "an operator adds its network to OUTBOUND_ALLOWED_NETWORKS.",
            )
        case "connect":
            return Advice(
                verdict="Nobody takes connections there.",
                remedy="The receiver starts its server on port 443, and lets this system through its firewall.",
            )
        case "tls":
            return _tls(told.detail)
        case "oauth":
            return Advice(
                verdict="There is no access token that works.",
                remedy="Compare token URL, client, secret, scope and audience of the endpoint with the receiver's.",
            )
        case "timeout":
            return _timeout(told)
        case "reset":
            return Advice(
                verdict="They broke off the connection.",
                remedy="The receiver looks for a crash, a restart or a proxy's limit at that moment.",
            )
        case "protocol":
            return Advice(
                verdict="What they answer is not proper HTTP.",
                remedy="The receiver looks at what listens on port 443 there; it should answer HTTP/1.1.",
            )
        case "gone":
            return Advice(
                verdict="They want no more callouts at this URL (410).",
                remedy="Ask the receiver for the new URL, or delete the endpoint.",
            )
        case "message":
            return Advice(verdict="It cannot be sent as it is.", remedy="Correct the header that is named.")
    return _status(told)


def url_of(request: str) -> str:
    """Return the URL of a request that the log kept; empty if it tells none."""
    found = _REQUEST.match(request)
    return f"https://{found[2]}{found[1]}" if found else ""


def _status(told: Told) -> Advice:
    code = told.status_code or 0
    if known := remedies.STATUS.get(code):
        return Advice(verdict=f"They answered {code}. {known[0]}", remedy=known[1])
    if 500 <= code <= 599:
        return Advice(
            verdict=f"They answered {code}. Their code failed.",
            remedy="The receiver finds the error in its log, at the time of this request.",
        )
    if code:
        return Advice(
            verdict=f"They answered {code}, and only 2xx means that they accepted it.",
            remedy="The receiver answers 200 or 204 once it has the callout.",
        )
    return Advice(verdict=told.detail, remedy="")


def _redirect(told: Told) -> Advice:
    found = _LOCATION.search(told.response_headers)
    if found is None:
        return Advice(
            verdict=f"They answered {told.status_code}, a redirect, without saying where to.",
            remedy="The receiver answers callouts itself: 200 or 204 at this URL.",
        )
    called, target = url_of(told.request_headers), found[1]
    try:
        there = urlsplit(target)
        here = urlsplit(called)
    except ValueError:
        return Advice(
            verdict=f"They redirect to {target}, which is no URL.", remedy="The receiver mends that redirect."
        )
    if there.scheme == "http":
        return Advice(
            verdict=f"Their server redirects to plain http: {target}.",
            remedy="Callouts go by https only: the receiver answers them itself at the https URL.",
        )
    full = (
        target
        if there.netloc
        else f"https://{here.netloc}{target if target.startswith('/') else '/' + target}"
    )
    login = re.search(r"log-?in|sign-?in|auth|sso", there.path, re.IGNORECASE)
    if login:
        return Advice(
            verdict=f"Their server sends callers to a page for logging in: {full}.",
            remedy="The receiver exempts this path from its login; the signature says who calls.",
        )
    if there.netloc and there.netloc != here.netloc:
        what = "another host"
    elif there.path.rstrip("/") == here.path.rstrip("/"):
        what = "the same path with another ending"
    else:
        what = "another path"
    return Advice(
        verdict=f"Their server redirects to {what}, and redirects are not followed.",
        remedy=f"Change the URL to {full}.",
    )


def _tls(detail: str) -> Advice:
    said = detail.lower().replace("self signed", "self-signed")
    for word, verdict, remedy in remedies.TLS:
        if word in said:
            return Advice(verdict=verdict, remedy=remedy)
    return Advice(
        verdict="No TLS connection came about.",
        remedy="The receiver looks at its TLS log, and at what stands before it (proxy, firewall) on port 443.",
    )


def _timeout(told: Told) -> Advice:
    if told.first_byte_ms is not None:
        return Advice(
            verdict="They began to answer and did not finish in time.",
            remedy="The receiver sends a short answer at once: the status is all that counts.",
        )
    if told.is_reused or told.tls_ms is not None:
        return Advice(
            verdict="They took the connection and did not answer in time.",
            remedy="The receiver answers 2xx as soon as it has kept the callout, and works on it afterwards.",
        )
    if told.connect_ms is not None:
        return Advice(
            verdict="They took the connection and did not finish the TLS handshake in time.",
            remedy="The receiver looks whether its server is overloaded, or speaks TLS on port 443 at all.",
        )
    if told.dns_ms is not None:
        return Advice(
            verdict="Nobody answered at that address in time.",
            remedy="A firewall probably drops the connection: the receiver lets this system through to port 443.",
        )
    return Advice(
        verdict="The host name was not resolved in time.",
        remedy="The name servers of that host, or of this system, do not answer: try again, then look there.",
    )
