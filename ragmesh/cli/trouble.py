"""What went wrong, told to a person or to a script, and the exit code that says which kind it was."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape

from ragmesh.cli.terminal import console
from ragmesh.errors import FailedPrecondition, MeshError

FAILED = 1
EXIT_CODES = {
    "INVALID_ARGUMENT": 2,
    "NOT_FOUND": 3,
    "UNAUTHENTICATED": 4,
    "PERMISSION_DENIED": 4,
    "UNAVAILABLE": 5,
    "DEADLINE_EXCEEDED": 5,
    "RESOURCE_EXHAUSTED": 5,
}


class Trouble(FailedPrecondition):
    """Something that the person at the terminal can do something about."""


def exit_code(error: MeshError) -> int:
    """Which kind of failure it was, as docs/cli.md lists them."""
    return EXIT_CODES.get(error.code, FAILED)


def as_json(arguments: Sequence[str]) -> bool:
    """Whether a command is run for a script: known even where the rest of its arguments can't be read."""
    return "--json" in arguments


def tell(error: MeshError, arguments: Sequence[str]) -> None:
    """Says on standard error what went wrong."""
    if not as_json(arguments):
        console(stderr=True).print(f"[red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        return
    told = {
        "code": error.code,
        "message": error.message,
        "field": error.field,
        "retry_after_s": error.retry_after_s,
    }
    print(json.dumps({"error": told}, ensure_ascii=False), file=sys.stderr)


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Says which extra brings what can't be imported in the block. Raises Trouble."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Trouble(
            f"this command needs {error.name}, which is not installed: pip install 'ragmesh[{extra}]'"
        ) from None
