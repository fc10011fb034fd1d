"""Signing a request as Amazon's services ask for it: AWS Signature Version 4."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from requests.auth import AuthBase

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigv4(AuthBase):
    """Whose signature a request carries; requests calls it once method, URL and body are final."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)  # with temporary credentials
    region: str
    service: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the headers, with the time of now: Amazon allows five minutes of difference."""
        body = request.body or b""
        given = {name: request.headers[name] for name in ("Content-Type",) if name in request.headers}
        signed = self.headers(
            request.method or "GET",
            request.url or "",
            headers=given,
            body=body if isinstance(body, bytes) else body.encode(),
            at=datetime.now(UTC),
        )
        request.headers.update(signed)
        return request

    def headers(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, at: datetime
    ) -> dict[str, str]:
        """Return what is added to these headers."""
        parts, time = urlsplit(url), at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        added = {"X-Amz-Date": time} | ({"X-Amz-Security-Token": self.token} if self.token else {})
        signed = {
            name.lower(): re.sub(" +", " ", value.strip())
            for name, value in {**headers, "Host": parts.netloc, **added}.items()
        }
        names = ";".join(sorted(signed))
        canonical = "\n".join(
            [
                method,
                quote(parts.path or "/", safe="/-_.~"),
                _query(parts.query),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                hashlib.sha256(body).hexdigest(),
            ]
        )
        scope = f"{time[:8]}/{self.region}/{self.service}/aws4_request"
        text = "\n".join([_ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self.key(time[:8]), text.encode(), hashlib.sha256).hexdigest()
        credential = f"{_ALGORITHM} Credential={self.key_id}/{scope}"
        return added | {"Authorization": f"{credential}, SignedHeaders={names}, Signature={signature}"}

    def key(self, day: str) -> bytes:
        """Return the key that signs on a day (20150830)."""
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def _query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    )
