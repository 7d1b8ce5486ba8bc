"""Runs a planned mesh from its start to its end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import aiohttp

from ragmesh.up import state
from ragmesh.up.keeper import Keeper
from ragmesh.up.plan import Plan

READY_POLL_S = 0.1

Changed = Callable[[Keeper], None]


class Mesh:
    """A mesh that runs."""

    def __init__(self, plan: Plan, keeping: Collection[asyncio.Task[None]]) -> None:
        self.plan = plan
        self._keeping = keeping

    async def ready(self) -> None:
        """Returns once the edge says that it can serve."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _answers(session, f"{self.plan.url}/readyz"):  # noqa: ASYNC110 it is another process's event
                await asyncio.sleep(READY_POLL_S)

    async def broken(self) -> None:
        """Raises what keeps a process from being started at all; waits as long as nothing does."""
        done, _ = await asyncio.wait(self._keeping, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


@asynccontextmanager
async def running(plan: Plan, changed: Changed) -> AsyncIterator[Mesh]:
    """Starts every process, and stops them at the end, those first that lean on others.

    The caller holds the data folder (`state.locked`). `changed` hears of each process that starts, dies or stops.
    """
    home = plan.settings.home
    state.remove_leftovers(home)

    def record(keeper: Keeper) -> None:
        state.write(plan, {k.name: k.process for k in keepers if k.process})
        changed(keeper)

    keepers = [Keeper(program, home / "logs", record) for program in plan.programs]
    tasks = {keeper.name: asyncio.create_task(keeper.keep()) for keeper in keepers}
    try:
        yield Mesh(plan, tasks.values())
    finally:
        await _stop([tasks[program.name] for program in plan.programs if not program.is_backing])
        await _stop([tasks[program.name] for program in plan.programs if program.is_backing])
        state.remove(home)


def when_asked_to_stop() -> asyncio.Event:
    """Set when this process is asked to end: by Ctrl-C, SIGTERM or the closing of its terminal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
