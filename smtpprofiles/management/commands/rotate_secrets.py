"""Encrypting stored secrets anew, after a new key was put first into SECRETS_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from smtpprofiles.reencrypt import Progress, reencrypt


class Command(BaseCommand):
    """Prints, by column, how many secrets it encrypted anew."""

    help = (
        "Encrypt every stored secret with the first of SECRETS_KEYS. Afterwards, and once every process runs with "
        "that key, the others can be removed. Signing secrets themselves stay the same."
    )

    def handle(self, **_: Any) -> None:
        """Go through every encrypted column, and fail if something in them cannot be read."""
        last: dict[str, Progress] = {}
        for progress in reencrypt():
            last[progress.column] = progress
            self.stdout.write(f"\r{progress.column}: {progress.seen} seen", ending="")
        self.stdout.write("\r", ending="")
        for one in last.values():
            lost = f", {one.unreadable} that no key opens" if one.unreadable else ""
            self.stdout.write(f"{one.column}: {one.rotated} of {one.seen} encrypted anew{lost}")
        if lost_in := [one.column for one in last.values() if one.unreadable]:
            raise CommandError(
                f"Not everything could be read: {', '.join(lost_in)}. Add the key it was stored with to the end of "
                "SECRETS_KEYS and run this again, or enter those secrets again."
            )
        self.stdout.write(self.style.SUCCESS("All secrets are encrypted with the newest key."))
