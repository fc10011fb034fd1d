"""An attempt as a curl command, for whoever wants to repeat it by hand; no secret is in it."""

import shlex

from .advice import url_of

# curl makes these itself.
_OWN = {"host", "content-length", "accept-encoding"}


def command(request_headers: str, body: str) -> str:
    """Return the command; empty where the log kept no request. What was masked stays masked."""
    url = url_of(request_headers)
    if not url:
        return ""
    parts = [f"curl -i {shlex.quote(url)}"]
    for line in request_headers.split("\n")[1:]:
        name, _, value = line.partition(": ")
        if name.lower() not in _OWN:
            # Without a value curl leaves a header out, unless a semicolon ends it.
            parts.append(f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}")
    # --data alone would read a file where the body begins with @.
    parts.append(f"--data-raw {shlex.quote(body)}")
    return " \\\n  ".join(parts)
