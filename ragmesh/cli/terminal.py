"""The terminal that commands print to."""

from rich.console import Console

PIPED_WIDTH = 200  # columns for a reader that is no terminal, so that nothing is cut


def console(*, stderr: bool = False) -> Console:
    """A console, coloured on a terminal only."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=PIPED_WIDTH)
