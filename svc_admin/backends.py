"""Asks Triton and Milvus how they are, and Triton what models it has."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pymilvus import AsyncMilvusClient, MilvusException

from ragmesh.errors import MeshError
from ragmesh.inference.triton import Triton
from ragmesh.storage.vectors.capabilities import Capabilities
from ragmesh.v1 import Backend, Health

ANSWER_WITHIN_S = 2.0


class Backends:
    """The servers behind the mesh."""

    def __init__(self, triton: Triton, milvus: AsyncMilvusClient, milvus_uri: str) -> None:
        self._triton = triton
        self._milvus = milvus
        self._milvus_uri = milvus_uri

    async def observe(self) -> Sequence[Backend]:
        """Both, as they answer now."""
        return await asyncio.gather(
            _probe("milvus", self._milvus_uri, self._milvus_detail),
            _probe("triton", self._triton.url, self._triton.version),
        )

    async def _milvus_detail(self) -> str:
        return Capabilities.of(str(await self._milvus.get_server_version(timeout=ANSWER_WITHIN_S))).detail


async def _probe(role: str, uri: str, version: Callable[[], Awaitable[str]]) -> Backend:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return Backend(role=role, uri=uri, health=Health.SERVING, detail=await version())
    except (MeshError, MilvusException, TimeoutError) as error:
        return Backend(role=role, uri=uri, health=Health.UNREACHABLE, detail=str(error) or "no answer in time")
