"""Mails a second through one profile, against bare smtplib on an equal number of kept connections, no database."""

from contextlib import ExitStack
from typing import Any

from events import sync
from notifications.models import RenderedBody
from tests.bench import mail_server, offer, rows
from tests.bench.deliver import costs
from tests.bench.judge import Case
from tests.bench.loop import looping
from tests.bench.run import Run
from tests.bench.workers import working
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory

TARGET = 0.8
PROCESSES, THREADS = 2, 4
CONNECTIONS = PROCESSES * THREADS
_TEXT = (
    "Invoice {{ invoice.number }} of {{ account.name }} was posted: {{ invoice.total }} {{ invoice.currency }}.\n\n"
    "It is due within thirty days. Questions are answered by the address that this mail comes from.\n"
)


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the cases: mails in any order, and in the order of their accounts."""
    sync.sync()
    SmtpProfileFactory(
        host=mail_server.HOST,
        port=mail_server.PORT,
        security="tls",
        username="",
        password="",
        authentication="none",
        max_connections=CONNECTIONS,
        mails_per_connection=100_000,
    )
    with mail_server.serving(run.folder) as server:
        names = run.wanted(["any order", "in order"])
        return [_case(run, server, name) for name in names], {"receiver": server.kind}


def _case(run: Run, server, name: str) -> Case:
    count, is_ordered = run.scale(6_000, 1_500), name == "in order"
    into = QueueFactory(name=f"mail {name}", is_ordered=is_ordered)
    EmailSubscriptionFactory(queue=into, email_template__text=_TEXT, email_template__html=f"<p>{_TEXT}</p>")
    queue = str(into.name)
    keys = 500 if is_ordered else 0
    if RenderedBody.objects.exists():
        rows.analyse()  # the case before has filled the tables
    with ExitStack() as stack:
        workers = stack.enter_context(
            working(
                PROCESSES, folder=run.folder, **mail_server.environment(server), DELIVERY_THREADS=str(THREADS)
            )
        )
        offer.drain([queue], CONNECTIONS, workers=workers, receiver=server, keys=keys)
        size = len(RenderedBody.objects.latest("delivery_created_at").body)
        loops = stack.enter_context(
            looping(
                server,
                processes=PROCESSES,
                threads=THREADS,
                body_bytes=size,
                folder=run.folder,
                module="smtplib_loop",
            )
        )
        drained, posted = run.interleave(
            name,
            lambda: offer.drain([queue], count, workers=workers, receiver=server, keys=keys),
            lambda: loops.post(count),
            rounds=5,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    return Case(
        name=name,
        unit="mails/s",
        ours=[each.rate for each in drained],
        baseline=[each.rate for each in posted],
        target=TARGET,
        extra=costs(drained, posted) | {"message_bytes": size, "connections": CONNECTIONS},
    )
