"""The embedding model that comes next: one worker embeds everything with it, then searches go over to it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ragmesh.errors import DeadlineExceeded, MeshError, ResourceExhausted, Unavailable
from ragmesh.rpc.config import Live
from ragmesh.rpc.config.port import ConfigStore
from svc_document.reembed import Job, JobLost, Jobs, Move, Reembedder, ReembedState

log = structlog.get_logger()

LOOK_EVERY_S = 1.0  # whether one was asked for, or left by another worker
PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted)

Opened = Callable[[str, str], Awaitable[Move]]  # from the space of one model into that of another


@dataclass(frozen=True, slots=True)
class Succession:
    """Follows what the settings name as the next model."""

    live: Live
    store: ConfigStore
    jobs: Jobs
    opened: Opened
    lead: Callable[[str], Awaitable[None]]  # points what others read at a model's chunks
    batch: int  # chunks that are embedded and written together

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            model = self.live.now.embed_next
            try:
                if model and (job := await self.jobs.take(model)):
                    await self._carry_out(job)
            except JobLost:
                log.info("reembedding.lost", model=model)
            except MeshError as error:
                log.warning("reembedding.waits", model=model, reason=error.message)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _carry_out(self, job: Job) -> None:
        log.info("reembedding.begun", model=job.model, chunks_done=job.chunks_done)
        try:
            move = await self.opened(self.live.now.embedding, job.model)
            fault = await Reembedder(self.jobs, move, batch=self.batch).run(job)
        except PASSING:
            raise
        except MeshError as error:
            fault = error.message
        if fault:
            await self._give_up(job, fault)
        else:
            await self._go_over(job)

    async def _go_over(self, job: Job) -> None:
        """The target stays among those that are kept up at every moment, and so does what it takes over from."""
        now = self.live.now
        kept = dict.fromkeys([now.embedding, job.model, *now.embed_also.split()])
        await self._write(
            ("embed_also", " ".join(kept)), ("embed_before", now.embedding), ("embed_model", job.model)
        )
        await self.lead(job.model)
        await self._write(("embed_next", None))
        await self.jobs.end(job, ReembedState.ACTIVE)
        log.info("reembedding.done", model=job.model)

    async def _give_up(self, job: Job, fault: str) -> None:
        await self._write(("embed_next", None))
        await self.jobs.end(job, ReembedState.FAILED, fault)
        log.warning("reembedding.failed", model=job.model, reason=fault)

    async def _write(self, *values: tuple[str, str | None]) -> None:
        for name, value in values:
            await self.store.write(name, value)
