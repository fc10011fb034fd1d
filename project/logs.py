"""Structured logs: one line an event, JSON for machines or aligned text for people."""

import logging
from typing import Any

import structlog

BEAT = "notifications.tasks.beat"
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# Never local variables: among them are passwords, signing secrets and payloads.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def is_no_beat(record: logging.LogRecord) -> bool:
    """Whether a line is about anything but the tasks that only show that a cluster lives, one every 5 s."""
    return record.levelno > logging.INFO or BEAT not in record.getMessage()


def configuration(log_format: str) -> dict[str, Any]:
    """Return Django's LOGGING for `log_format`, "json" or "console"; sets structlog up alike."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderers: list[Any] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if log_format == "json"
        # Said here: where rich is installed, the default shows local variables.
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *renderers,
                ],
            }
        },
        "filters": {"no beats": {"()": "django.utils.log.CallbackFilter", "callback": is_no_beat}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {"django.request": {"level": "ERROR"}, "django-q": {"filters": ["no beats"]}},
    }
