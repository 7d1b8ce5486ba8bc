"""`ragmesh keys`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from ragmesh.access import Scope
from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, MeshName, Trouble, client, run
from ragmesh.rpc.auth.scopes import MESSAGES
from ragmesh.v1 import CreateKeyResponse, Key

app = typer.Typer(
    no_args_is_help=True,
    help="""Makes, lists and ends API keys.

    A key opens one tenant. The first one is made where the mesh runs; later ones can be made by anybody whose own
    key (RAGMESH_API_KEY) has the scope admin.""",
)

UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])")


@app.command()
def create(
    tenant: Annotated[str, typer.Option("--tenant", help="whose documents it opens")] = "default",
    name: Annotated[str, typer.Option("--name", help="what it is for")] = "",
    scopes: Annotated[
        list[Scope] | None,
        typer.Option("--scope", help="what it allows; repeat it for more", show_default="read, write"),
    ] = None,
    expires_in: Annotated[
        str, typer.Option("--expires-in", help="when it ends, as 12h, 30d or 8w", show_default="never")
    ] = "",
    requests: Annotated[int, typer.Option("--requests-per-minute", min=0, help="0: as the mesh allows")] = 0,
    tokens: Annotated[int, typer.Option("--tokens-per-minute", min=0, help="0: as the mesh allows")] = 0,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Makes a key, and shows it this once.

    ragmesh keys create --tenant acme --name website --scope read --expires-in 90d
    """
    expires_at = read_expiry(expires_in)

    async def work() -> CreateKeyResponse:
        async with client(data_dir, mesh) as connected:
            return await connected.create_key(
                name,
                tenant=tenant,
                scopes=[MESSAGES[scope] for scope in scopes or ()],
                expires_at=expires_at,
                requests_per_minute=requests,
                tokens_per_minute=tokens,
            )

    made = run(work())
    if json_:
        show_json(made)
        return
    console(stderr=True).print("Keep it safe: it is shown this once, and only a hash of it is stored.")
    console().print(made.secret, highlight=False, markup=False, soft_wrap=True)


@app.command("list")
def list_keys(
    tenant: Annotated[str, typer.Option("--tenant", help="only this tenant's", show_default="all")] = "",
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Lists keys, newest first, those that have ended too."""

    async def work() -> list[Key]:
        async with client(data_dir, mesh) as connected:
            return [key async for key in connected.list_keys(tenant)]

    keys = run(work())
    if json_:
        show_json(keys)
        return
    show_table(
        (Column("id", no_wrap=True, min_width=32), "tenant", "name", "scopes", "made", "state"),
        (
            (each.id, each.tenant, escape(each.name), _scopes(each), _day(each.created_at), state_of(each))
            for each in keys
        ),
    )


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="its id, as `ragmesh keys list` shows it")],
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Ends a key: within RAGMESH_AUTH_CACHE_S nobody takes it any more."""

    async def work() -> Key:
        async with client(data_dir, mesh) as connected:
            return await connected.revoke_key(key)

    ended = run(work())
    if json_:
        show_json(ended)
        return
    console().print(f"{ended.id} is {state_of(ended)}", highlight=False, markup=False)


def read_expiry(text: str) -> datetime | None:
    """The moment that `30d` from now is; None for never. Raises Trouble."""
    if not text:
        return None
    if not (parts := DURATION.fullmatch(text)):
        raise Trouble(f"--expires-in: can't read {text!r}: give a number and m, h, d or w, as 30d")
    try:
        return datetime.now(UTC) + timedelta(seconds=int(parts[1]) * UNITS_S[parts[2]])
    except OverflowError:
        raise Trouble(f"--expires-in: {text} is later than calendars go; leave it out for never") from None


def state_of(key: Key) -> str:
    """Whether a key is good, for people."""
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    if not key.expires_at:
        return "good"
    return f"{'good until' if key.expires_at > datetime.now(UTC) else 'ended'} {_day(key.expires_at)}"


def _scopes(key: Key) -> str:
    return " ".join((scope.name or "?").lower() for scope in key.scopes)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
