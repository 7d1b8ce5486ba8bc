"""Runs a planned mesh from its start to its end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from ragmesh.up import state
from ragmesh.up.keeper import Keeper
from ragmesh.up.plan import Plan

READY_POLL_S = 0.1
LAST_STOPPED = ("triton", "milvus")  # what the services lean on ends after them

Changed = Callable[[Keeper], None]


class Mesh:
    """A mesh that runs."""

    def __init__(self, plan: Plan, keepers: list[Keeper]) -> None:
        self.plan = plan
        self.keepers = keepers

    async def ready(self) -> None:
        """Returns once the edge says that it can serve."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _answers(session, f"{self.plan.url}/readyz"):  # noqa: ASYNC110 it is another process's event
                await asyncio.sleep(READY_POLL_S)


@asynccontextmanager
async def running(plan: Plan, changed: Changed) -> AsyncIterator[Mesh]:
    """Starts every process, and stops them at the end, those first that lean on others.

    `changed` hears of each process that starts, dies or stops. Raises AlreadyRunning.
    """
    home = plan.settings.home
    with state.locked(home):
        state.remove_leftovers(home)

        def record(keeper: Keeper) -> None:
            state.write(plan, {k.name: k.process for k in keepers if k.process})
            changed(keeper)

        keepers = [Keeper(program, home / "logs", record) for program in plan.programs]
        tasks = {keeper.name: asyncio.create_task(keeper.keep()) for keeper in keepers}
        try:
            yield Mesh(plan, keepers)
        finally:
            await _stop([task for name, task in tasks.items() if name not in LAST_STOPPED])
            await _stop([tasks[name] for name in LAST_STOPPED])
            state.remove(home)


async def until_signalled() -> None:
    """Returns at the first SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


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
