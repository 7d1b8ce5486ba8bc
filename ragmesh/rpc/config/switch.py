"""Something that a dynamic setting names, exchanged while it is used.

async with Switch(live, lambda settings: settings.llm_model, open_model) as llm:
await llm.now.generate(…)       # whoever has begun with the old one finishes with it
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Self, TypeVar

import structlog

from ragmesh.errors import MeshError
from ragmesh.rpc.config.live import Live
from ragmesh.settings import Settings

Named = TypeVar("Named")
Thing = TypeVar("Thing")

RETRY_S = 1.0

log = structlog.get_logger()


class Switch(Generic[Named, Thing]):
    """Holds what the settings name. Entering opens the first; a new one is opened before it takes its place."""

    def __init__(
        self, live: Live, named: Callable[[Settings], Named], opened: Callable[[Named], Awaitable[Thing]]
    ) -> None:
        """`opened` may be asked for the same name again, and keeps what it has opened."""
        self._live = live
        self._named = named
        self._opened = opened

    async def __aenter__(self) -> Self:
        changes = self._live.changes
        self._name = self._named(self._live.now)
        self._now = await self._opened(self._name)
        self._following = asyncio.create_task(self._follow(changes))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])

    @property
    def now(self) -> Thing:
        """What is in use."""
        return self._now

    async def _follow(self, changes: int) -> None:
        while True:
            await self._live.changed(changes)
            changes = self._live.changes
            while (wanted := self._named(self._live.now)) != self._name:
                await self._exchange(wanted)

    async def _exchange(self, wanted: Named) -> None:
        try:
            self._now = await self._opened(wanted)
        except MeshError as error:
            log.warning("switch.waits", wanted=str(wanted), reason=error.message)
            await asyncio.sleep(RETRY_S)
            return
        self._name = wanted
        log.info("switch.done", now=str(wanted))
