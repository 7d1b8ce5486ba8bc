"""Watches Triton's models with real requests, and reloads one whose Python process has died.

Triton goes on saying "ready" for a model whose process is gone, and never starts it again: only an inference tells,
and only unload and load cure. What they can't cure, or a model that is silent, is for whoever restarts the server:
`watch` raises.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ragmesh.errors import Unavailable
from ragmesh.inference import embed, generate
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.port import Role
from ragmesh.inference.triton import Triton

log = structlog.get_logger()

EVERY_S = 1.0
ANSWER_WITHIN_S = 30.0  # a busy model is slow, not dead

Probe = Callable[[], Awaitable[object]]


async def watch(url: str) -> None:
    """Probes and heals until it is cancelled. Raises MeshError where a reload is no cure."""
    async with (
        TritonEmbedder(url, timeout_s=ANSWER_WITHIN_S) as embedder,
        TritonLanguageModel(url) as llm,
        Triton(url) as triton,
    ):
        log.info("triton.ready", url=url)
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep(embed.MODEL, lambda: embedder.embed(["alive?"], Role.QUERY), triton))
            group.create_task(_keep(generate.MODEL, llm.require_alive, triton))


async def _keep(model: str, probe: Probe, triton: Triton) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await probe()
        except Unavailable as error:
            log.warning("triton.model_died", model=model, reason=error.message)
            await triton.reload(model)
            log.info("triton.model_reloaded", model=model)
