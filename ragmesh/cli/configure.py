"""`ragmesh config` and `set`."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, MeshName, client, run, settings_for
from ragmesh.errors import InvalidArgument
from ragmesh.settings import PREFIX, Settings, origins
from ragmesh.v1 import Config, Setting

app = typer.Typer()
ANYTHING = {"ignore_unknown_options": True}  # -1 is a value


@app.command()
def config(
    local: Annotated[bool, typer.Option("--local", help="those of this command itself, not the mesh's")] = False,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Shows the settings of the running mesh, and where each came from.

    Secrets are hidden. With --local they are those that a process would have that was started here and now.
    """

    async def work() -> Config:
        async with client(data_dir, mesh) as connected:
            return await connected.config()

    settings = _own(settings_for(data_dir)) if local else run(work()).settings
    if json_:
        show_json(settings)
        return
    show_table(
        (Column("setting", no_wrap=True), "value", "from", "meaning"),
        ((each.key, escape(each.value), each.source, escape(_meaning(each.key))) for each in settings),
    )


@app.command("set", context_settings=ANYTHING)
def set_(
    key: Annotated[str, typer.Argument(help="as `ragmesh config` shows it, for example RAGMESH_LOG_LEVEL")],
    value: Annotated[str, typer.Argument(help="empty ('') takes a change back")],
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Changes a setting of the running mesh, in all of its processes at once."""
    if key.startswith("-"):
        raise InvalidArgument(f"there is no option {key}: `ragmesh set --help` lists them")

    async def work() -> Config:
        async with client(data_dir, mesh) as connected:
            return await connected.set_config(key, value)

    changed = {setting.key: setting for setting in run(work()).settings}[key.upper()]
    if json_:
        show_json(changed)
        return
    console().print(f"{changed.key} is {changed.value} ({changed.source})", markup=False, highlight=False)


def _meaning(key: str) -> str:
    """What a setting is for; nothing for one of another version."""
    field = Settings.model_fields.get(key.removeprefix(PREFIX).lower())
    return (field.description if field else None) or ""


def _own(settings: Settings) -> Sequence[Setting]:
    return [
        Setting(key=origin.key, value=origin.value, source=origin.source, dynamic=origin.is_dynamic)
        for origin in origins(settings)
    ]
