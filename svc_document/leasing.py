"""Holding leases: renewed while the work under them goes on, and the work stopped where one is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import structlog

from ragmesh.errors import MeshError
from svc_document.model import Lease, LeaseLost
from svc_document.ports import Leases

log = structlog.get_logger()

LONGEST_BEAT_S = 1.0  # progress is told as often


class Held:
    """A lease in use."""

    def __init__(self, lease: Lease, until: asyncio.Timeout) -> None:
        self.lease = lease
        self.until = until
        self.progress = 0.0  # 0 to 1; the worker moves it


class LeaseKeeper:
    """Renews all leases of a worker in one transaction. An async context manager: it owns a task.

    A lease that can't be renewed in time, for the database is away, ends here no later than there.
    """

    def __init__(self, leases: Leases, *, lease_s: float) -> None:
        self._leases = leases
        self._lease_s = lease_s
        self._held: dict[Lease, Held] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._beating = self._tasks.create_task(self._beat())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._beating.cancel()
        await self._tasks.__aexit__(None, None, None)

    @asynccontextmanager
    async def hold(self, lease: Lease) -> AsyncIterator[Held]:
        """Keeps a lease inside the block; raises LeaseLost out of it, at once, when it is lost."""
        until = asyncio.timeout(self._lease_s)
        self._held[lease] = held = Held(lease, until)
        try:
            async with until:
                yield held
        except TimeoutError:
            if until.expired():
                raise LeaseLost from None
            raise
        finally:
            del self._held[lease]

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(min(self._lease_s / 3, LONGEST_BEAT_S))
            if self._held:
                await self._renew(list(self._held.values()))

    async def _renew(self, all_held: list[Held]) -> None:
        asked_at = asyncio.get_running_loop().time()
        try:
            renewed = await self._leases.renew({held.lease: held.progress for held in all_held})
        except MeshError as error:
            log.warning("leases.not_renewed", error=error.message)
            return
        for held in all_held:
            if held.lease in self._held and not held.until.expired():
                held.until.reschedule(asked_at + self._lease_s if held.lease in renewed else asked_at)
