"""Shows a mesh: a live board on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ragmesh.up.keeper import Keeper, Phase

COLOURS = {Phase.STARTING: "yellow", Phase.RUNNING: "green", Phase.WAITING: "red", Phase.STOPPED: "dim"}

WORDS = 160  # characters of a process's last words


class PlainBoard:
    """A line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def changed(self, keeper: Keeper) -> None:
        """Prints what became of a process."""
        self.say(f"{keeper.name}: {_news(keeper)}")

    def say(self, line: str) -> None:
        """Prints a line."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LiveBoard:
    """A table of the processes that follows their changes. Use it with `with`."""

    def __init__(self, console: Console) -> None:
        self._keepers: dict[str, Keeper] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def changed(self, keeper: Keeper) -> None:
        """Takes note of a process."""
        self._keepers[keeper.name] = keeper

    def say(self, line: str) -> None:
        """Prints a line above the board."""
        self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        return table(list(self._keepers.values()))


def _news(keeper: Keeper) -> str:
    if keeper.phase is Phase.WAITING:
        return f"ended with code {keeper.last_exit}, restarting; its last words: {keeper.last_words[:WORDS]}"
    if keeper.phase is Phase.STARTING and keeper.process:
        return f"starting as process {keeper.process.pid}"
    return keeper.phase


def table(keepers: Sequence[Keeper]) -> Table:
    """The board."""
    board = Table("process", "pid", "state", "up", "restarts", "", box=None, header_style="bold")
    for keeper in keepers:
        board.add_row(
            keeper.name,
            str(keeper.process.pid) if keeper.process else "",
            Text(keeper.phase, COLOURS[keeper.phase]),
            _age(keeper) if keeper.phase is Phase.RUNNING else "",
            str(keeper.restarts or ""),
            Text(keeper.last_words[:WORDS] if keeper.phase is Phase.WAITING else "", "dim"),
        )
    return board


def _age(keeper: Keeper) -> str:
    seconds = int(time.time() - keeper.process.started) if keeper.process else 0
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
