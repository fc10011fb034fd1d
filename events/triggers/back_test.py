"""Back-tests."""


def carry_out(pk: int) -> None:
    """Carry it out."""
    raise NotImplementedError(pk)
