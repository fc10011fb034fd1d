"""Keep the embedded database running while something of ours runs that needs it."""

from collections.abc import Callable

from . import embedded


def caretaker(say: Callable[[str], None]) -> Callable[[], None]:
    """Return what starts it again, should it and its keeper have been killed; with another database, nothing."""
    is_ours = embedded.is_joined()

    def keep() -> None:
        if is_ours:
            try:
                embedded.join()
            except embedded.EmbeddedPostgresError as error:
                say(str(error))

    return keep
