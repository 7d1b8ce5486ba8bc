"""The `ragmesh` command."""

import sys

import typer
from rich.markup import escape

from ragmesh.cli import adding, documents, keys, models, operate, questions, serve
from ragmesh.cli.printing import console
from ragmesh.cli.session import Trouble

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Answers questions over your own documents.

    [bold]ragmesh up[/] starts everything on this machine; then, in another terminal:

      ragmesh add handbook.pdf notes/       load files and folders
      ragmesh ask "How long is data kept?"  an answer, with the pages it rests on
      ragmesh status                        what runs, and how it does

    Settings come from RAGMESH_… variables: [bold]ragmesh config[/] lists them.""",
)
for part in (serve, adding, questions, documents, operate):
    part.register(app)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Runs the command line. Trouble that a person can mend is one line on standard error."""
    try:
        app()
    except Trouble as trouble:
        console(stderr=True).print(f"[red]error:[/] {escape(str(trouble))}", highlight=False, soft_wrap=True)
        sys.exit(1)
