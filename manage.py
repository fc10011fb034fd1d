#!/usr/bin/env python
"""Run a Bellwether command, e.g. `uv run manage.py up`."""

import os
import sys

import environ

from project import embedded, keys

# Commands that never read the database must not start one; nor may the one that says whether it runs.
WITHOUT_DATABASE = {
    "help", "version", "--help", "-h", "--version", "collectstatic", "startapp", "bench", "health",
    "smtp_sink", "webhook_sink",
}  # fmt: skip
# What runs in a fresh checkout, where nobody has given it keys.
STARTS_ALONE = {"up", "smtp_sink", "webhook_sink"}


def main() -> None:
    """Start the embedded database where none is configured, then hand over to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    environ.Env.read_env(embedded.BASE_DIR / ".env", overwrite=False)
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks = bool({"--help", "-h"} & set(sys.argv))
    helping = asks or command in WITHOUT_DATABASE
    try:
        if command in STARTS_ALONE and not asks:
            # Before the settings read them.
            keys.ensure(embedded.BASE_DIR / "var")
        if not (helping or os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
            embedded.join()
    except embedded.EmbeddedPostgresError as error:
        sys.exit(f"manage.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
