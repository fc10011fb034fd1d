"""The receivers of the demo: an HTTPS server and two mail servers on this machine, behind a CA of the run."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from notifications.sinks.https_sink import HttpsSink
from notifications.sinks.smtp_sink import SmtpSink

from .configuration import Configuration
from .hooks import Hooks
from .mailbox import Mailbox


@contextmanager
def receivers(
    configuration: Configuration, hooks: Hooks, mailbox: Mailbox, *, folder: Path
) -> Iterator[Mapping[str, str]]:
    """Run them inside the block; yield the environment that leads the product's processes to them."""
    ca = trustme.CA(organization_name="Bellwether demo")
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "ca.pem"
    bundle.write_bytes(ca.cert_pem.bytes())
    hosts = sorted({str(urlsplit(endpoint.base_url).hostname) for endpoint in configuration.endpoints})
    with ExitStack() as stack:
        https = stack.enter_context(HttpsSink(ca=ca, hosts=hosts, script=hooks.answer))
        ways = [https.connect_to(host) for host in hosts]
        for name, profile in configuration.profiles.items():
            sink = SmtpSink(
                ca=ca,
                host=profile.host,
                username=profile.username,
                password=profile.password,
                pipelines=True,
                chunks=True,
            )
            stack.enter_context(sink)
            stack.enter_context(mailbox.emptied_from(sink, name))
            ways.append(f"{profile.host}:{profile.port}=127.0.0.1:{sink.port}")
        yield {
            "OUTBOUND_CONNECT_TO": ",".join(ways),
            "OUTBOUND_CONNECT_TO_ALLOWED": "1",
            "OUTBOUND_CA_BUNDLE": str(bundle),
        }
