"""The receivers of the demo: an HTTPS server and mail servers on this machine, behind a CA made for the run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from notifications.sinks.https_sink import HttpsSink, Script
from notifications.sinks.smtp_sink import Mail, SmtpSink

from .configuration import Configuration


class _MailServer(SmtpSink):
    """A mail server that tells of each message as it comes."""

    told: Callable[[str, Mail], None]

    def keep(self, connection, session, envelope):  # type: ignore[no-untyped-def]
        pass


@contextmanager
def receivers(
    configuration: Configuration, *, var_dir: Path, answer: Script
) -> Iterator[tuple[Mapping[str, str], dict[str, SmtpSink]]]:
    """Run them; yield the environment that leads the product to them, and the mail servers by profile."""
    raise NotImplementedError
