"""The `ragmesh` command."""

import sys
from typing import Annotated

import typer

from ragmesh.cli.commands import Commands
from ragmesh.cli.trouble import as_json, exit_code, tell
from ragmesh.errors import InvalidArgument, MeshError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Answers questions over your own documents.

    [bold]ragmesh up[/] starts everything on this machine; then, in another terminal:

      ragmesh add handbook.pdf notes/       load files and folders
      ragmesh ask "How long is data kept?"  an answer, with the pages it rests on
      ragmesh status                        what runs, and how it does

    [bold]ragmesh profile add[/] names a mesh elsewhere, [bold]ragmesh config[/] lists all RAGMESH_… settings.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 not available now.""",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 for this alone

        typer.echo(version("ragmesh"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="show the version, and exit", is_eager=True, callback=_show_version),
    ] = False,
) -> None: ...


def main() -> None:
    """Runs the command line. Trouble that a person can mend is a line on standard error, or JSON with --json."""
    arguments = sys.argv[1:]
    try:
        code = app(standalone_mode=not as_json(arguments))
    except MeshError as error:
        tell(error, arguments)
        code = exit_code(error)
    except typer.TyperException as usage:  # with --json only: otherwise typer shows it by itself
        tell(InvalidArgument(usage.format_message()), arguments)
        code = usage.exit_code
    sys.exit(code)
