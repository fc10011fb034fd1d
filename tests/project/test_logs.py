"""What a log line may hold."""

import json
import logging.config

import pytest

from project import logs


def log_in(password: str) -> None:
    """Raise with a secret among the local variables."""
    reversed_password = password[::-1]
    raise RuntimeError(f"refused after {len(reversed_password)} characters")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_where_but_no_local_variable(log_format: str) -> None:
    formatter = logging.config.DictConfigurator(logs.configuration(log_format)).configure_formatter(
        logs.configuration(log_format)["formatters"]["structured"]
    )
    password = "".join(["hun", "ter", "2"])
    try:
        log_in(password)
    except RuntimeError as error:
        found = (RuntimeError, error, error.__traceback__)
    record = logging.LogRecord("project", logging.ERROR, __file__, 1, "login failed", (), found)

    line = formatter.format(record)

    assert password not in line
    assert password[::-1] not in line
    assert "refused after 7 characters" in line
    assert "log_in" in line
    if log_format == "json":
        assert json.loads(line)["exception"][0]["exc_type"] == "RuntimeError"
