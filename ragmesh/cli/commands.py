"""Every command by its name, and the file that it is in: a file is imported when its command runs, and not before.

So `ragmesh --help` is quick, and a command whose libraries are not installed keeps no other from running.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ragmesh.cli.trouble import needing


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is, and what the list of commands says of it."""

    module: str  # below ragmesh.cli
    help: str  # the first line of its docstring
    extra: str = ""  # what has to be installed for it
    has_commands: bool = False  # it is a group of its own: all that the file has


PLACES: Mapping[str, Place] = MappingProxyType(
    {
        "up": Place("serve", "Starts the whole mesh on this machine, and keeps it up until Ctrl-C.", "local"),
        "demo": Place(
            "serve",
            "Starts the mesh, loads sample documents on the first run, answers a question, and keeps serving.",
            "local",
        ),
        "add": Place("adding", "Loads files and folders, and waits until they can be searched."),
        "ask": Place("questions", "Answers a question, and shows the passages that the answer rests on."),
        "chat": Place("chat", "Talks with the documents: each question is read in the light of those before it."),
        "search": Place("questions", "Shows the passages that fit best."),
        "suggest": Place("questions", "Proposes questions that the documents can answer."),
        "ls": Place("documents", "Lists the documents of a collection, newest first."),
        "rm": Place("documents", "Deletes documents: no later search finds them."),
        "collections": Place("documents", "Lists the collections."),
        "status": Place("operate", "Shows what runs, how it does, and how many documents there are."),
        "config": Place("configure", "Shows the settings of the running mesh, and where each came from."),
        "set": Place("configure", "Changes a setting of the running mesh, in all of its processes at once."),
        "dead-letters": Place(
            "operate", "Lists documents that were given up, with the reason; --replay queues all of them again."
        ),
        "eval": Place("evaluate", "Measures search and answers with questions whose sources are known."),
        "bench": Place("operate", "Measures the running mesh beside the bare engines.", "bench"),
        "profile": Place("profile", "Names meshes, and chooses the one to use.", has_commands=True),
        "keys": Place("keys", "Makes, lists and ends API keys.", has_commands=True),
        "models": Place("models", "Builds models, and changes those of a running mesh.", has_commands=True),
    }
)


class Commands(TyperGroup):
    """The commands of PLACES."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, place in PLACES.items():
            self.add_command(TyperCommand(name, help=place.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is meant, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest


def load(name: str) -> Any:
    """Imports a command. Raises Trouble where what it needs is not installed."""
    place = PLACES[name]
    with needing(place.extra) if place.extra else nullcontext():
        module = import_module(f"ragmesh.cli.{place.module}")
    group = typer.main.get_group(module.app)
    return group if place.has_commands else group.commands[name]
