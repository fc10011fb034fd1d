"""The benches by name. Imports nothing of Django: it is read before there are settings."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A bench: the module under tests.bench that measures, and what it needs of its PostgreSQL."""

    module: str
    summary: str
    options: dict[str, str] = field(default_factory=dict)


# Every statement that the server gets, with the program that sent it, in a file of the server's own.
_LOG_STATEMENTS = {
    "logging_collector": "on",
    "log_directory": "statements",
    "log_filename": "statements.log",
    "log_rotation_size": "0",
    "log_rotation_age": "0",
    "log_statement": "all",
    "log_line_prefix": "@bench %a|%d|",
}

BENCHES = {
    "deliver": Entry(module="deliver", summary="deliveries per second, against a bare loop of requests"),
    "deliver-naive": Entry(
        module="deliver_naive", summary="deliveries per second, against one django-q2 task each"
    ),
    "ordered": Entry(module="ordered", summary="an in-order queue of 1,000 keys, against any order"),
    "lane": Entry(module="lane", summary="one strict lane, against a single-threaded bare loop"),
    "email": Entry(module="email", summary="mails per second through one profile, against bare smtplib"),
    "isolation": Entry(module="isolation", summary="healthy endpoints while 90 of 100 hang, against none"),
    "backlog": Entry(
        module="backlog", summary="finding work behind 200,000 blocked deliveries, against none"
    ),
    "history": Entry(module="history", summary="deliveries per second with a long log, against an empty one"),
    "publish": Entry(module="publish", summary="publish() in a transaction, against one bare INSERT"),
    "latency": Entry(module="latency", summary="from commit to the first byte at the receiver"),
    "statements": Entry(
        module="statements", summary="SQL statements per delivery and idle second", options=_LOG_STATEMENTS
    ),
    "activity": Entry(module="activity", summary="a million SIMs: activity in bulk, and the daily scan"),
    "memory": Entry(module="memory", summary="a worker's memory after many deliveries, against few"),
}


class UnknownBench(Exception):  # noqa: N818 - named for the fact
    """There is no such bench; says which there are."""

    def __init__(self, name: str) -> None:
        listed = "".join(f"\n  {known:<14}{entry.summary}" for known, entry in BENCHES.items())
        super().__init__(f"There is no bench {name!r}. There are:{listed}")


def find(name: str) -> Entry:
    """Return the bench of this name, or raise UnknownBench."""
    try:
        return BENCHES[name]
    except KeyError:
        raise UnknownBench(name) from None
