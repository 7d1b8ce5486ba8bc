"""`ragmesh profile`."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, complete_profiles
from ragmesh.client import profiles
from ragmesh.client.profiles import LOCAL, Profile, Profiles
from ragmesh.client.target import check_target
from ragmesh.errors import InvalidArgument

app = typer.Typer(
    no_args_is_help=True,
    help="""Names meshes, and chooses the one to use.

    ragmesh profile add prod --url consul://consul.example:8500 --api-key-stdin < key
    ragmesh profile use prod
    ragmesh ask "How long is data kept?" --mesh local

    `local` is the mesh that runs on this machine. --mesh and RAGMESH_MESH go before the profile in use.""",
)

Name = Annotated[str, typer.Argument(help="its name", autocompletion=complete_profiles)]
File = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, resolve_path=True, help="in PEM", show_default=False)
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="what to call it")],
    url: Annotated[
        str, typer.Option("--url", help="consul://HOST:PORT, grpcs://HOST, or static:document=HOST:PORT,…")
    ],
    api_key_stdin: Annotated[
        bool, typer.Option("--api-key-stdin", help="read an API key from standard input; asked for on a terminal")
    ] = False,
    ca_file: File = None,
    cert_file: File = None,
    key_file: File = None,
) -> None:
    """Adds a mesh, or changes it. A key is never an argument: those can be seen by others."""
    if name == LOCAL or not name.isprintable() or name.startswith("-"):
        raise InvalidArgument(f"a profile can't be called {name!r}: choose another name")
    key = _read_key() if api_key_stdin else ""
    check_target(url)
    added = Profile(url=url, api_key=key, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    kept = profiles.read()
    profiles.write(Profiles(current=kept.current, meshes={**kept.meshes, name: added}))
    console().print(f"{name} is {url}; `ragmesh profile use {name}` makes it the usual one", markup=False)


@app.command()
def use(name: Name) -> None:
    """Makes a mesh the one that commands and clients use where none is named."""
    kept = profiles.read()
    if name != LOCAL:
        kept.named(name)
    profiles.write(Profiles(current=name, meshes=kept.meshes))


@app.command("list")
def list_profiles(json_: AsJson = False) -> None:
    """Lists the meshes; a star marks the one in use."""
    kept = profiles.read()
    current = kept.current or LOCAL
    rows = [
        (LOCAL, "this machine", False),
        *((name, one.url, bool(one.api_key)) for name, one in kept.meshes.items()),
    ]
    if json_:
        show_json(
            [
                {"name": name, "url": url, "has_api_key": has_key, "in_use": name == current}
                for name, url, has_key in rows
            ]
        )
        return
    show_table(
        ("", "name", "where", "key"),
        (
            ("*" if name == current else "", escape(name), escape(url), "yes" if key else "")
            for name, url, key in rows
        ),
    )


@app.command()
def remove(name: Name) -> None:
    """Forgets a mesh, and its key."""
    kept = profiles.read()
    kept.named(name)
    left = {other: one for other, one in kept.meshes.items() if other != name}
    profiles.write(Profiles(current="" if kept.current == name else kept.current, meshes=left))


def _read_key() -> str:
    key = getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not key.strip():
        raise InvalidArgument("there is no API key on standard input")
    return key.strip()
