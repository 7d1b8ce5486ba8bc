"""Keeps models loaded and alive on Triton servers that no process of ragmesh runs: in containers, for example."""

import asyncio

import structlog

from ragmesh.errors import MeshError
from ragmesh.inference.triton import Triton
from ragmesh.inference.watchdog import watch
from ragmesh.rpc.config import Live

log = structlog.get_logger()

LOOK_EVERY_S = 5.0


async def watch_all(triton: Triton, live: Live) -> None:
    """Watches every server, each by itself, until it is cancelled; new ones too."""
    watching: dict[str, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as tasks:
        while True:
            present = triton.addresses()
            for gone in watching.keys() - present:
                watching.pop(gone).cancel()
            for address in present - watching.keys():
                watching[address] = tasks.create_task(_watch(address, live))
            await asyncio.sleep(LOOK_EVERY_S)


async def _watch(address: str, live: Live) -> None:
    while True:
        try:
            await watch(address, live)
        except* MeshError as errors:  # a reload is no cure: its own supervisor must start it anew
            log.warning("triton.not_healed", address=address, reason=str(errors.exceptions[0]))
        await asyncio.sleep(LOOK_EVERY_S)
