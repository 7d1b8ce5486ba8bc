"""What only a real Milvus does: reads that lag, calls it does not know, and a load that a restart restores."""

import asyncio
import uuid
from pathlib import Path

import numpy as np
from pymilvus import AsyncMilvusClient
from structlog.testing import capture_logs

from ragmesh.chunk import Chunk
from ragmesh.errors import DeadlineExceeded, Unavailable
from ragmesh.inference.triton import Triton
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import Scope, Vectors
from ragmesh.v1 import Health
from svc_admin.backends import Backends
from tests.query_fakes import LetterEmbedder, passage
from tests.servers import Server, running

ROUNDS = 4
ONE: Vectors = np.eye(26, dtype=np.float32)[:1]


def store(server: Server) -> MilvusVectors:
    return MilvusVectors(server.url, "", LetterEmbedder().info, timeout_s=30)


def written(collection: str) -> Chunk:
    return passage("winter tyres", document=str(uuid.uuid4()), collection_id=collection)


async def found(vectors: MilvusVectors, collection: str) -> set[str]:
    (hits,) = await vectors.search_dense(Scope(collection), ONE, 100)
    return {hit.chunk.document_id for hit in hits}


async def test_what_was_read_back_is_found_by_every_later_search_of_another_process(tmp_path: Path):
    """And a server that dies comes back with it, without anybody's help; nor does it know BM25."""
    collection, chunks = "lasting", [written("lasting") for _ in range(ROUNDS)]
    with capture_logs() as logs:
        async with (
            running("milvus", tmp_path / "milvus") as server,
            store(server) as worker,
            store(server) as query,
        ):
            for chunk in chunks:
                await worker.upsert([chunk], ONE)
                assert await worker.count(collection, chunk.document_id, 1) == 1
                assert chunk.document_id in await found(query, collection)

            await server.kill()
            restart = asyncio.create_task(server.start())
            assert await eventually_found(query, collection) == {chunk.document_id for chunk in chunks}
            await restart
            await worker.delete_document(collection, chunks[0].document_id)
            await worker.upsert([chunks[1]], ONE)
            counts = [await worker.count(collection, chunk.document_id, 1) for chunk in chunks[:3]]

    assert counts == [0, 1, 1]
    assert [entry["version"] for entry in logs if entry["event"] == "milvus.no_bm25"] == ["v2.3.5-lite"] * 2


async def test_get_mesh_tells_what_this_milvus_cannot(milvus: Server):
    client = AsyncMilvusClient(milvus.url)
    async with Triton("127.0.0.1:1") as triton:
        seen, _ = await Backends(triton, client, milvus.url).observe()
    await client.close()

    assert (seen.role, seen.health) == ("milvus", Health.SERVING)
    assert seen.detail == "v2.3.5-lite; no BM25: hybrid and sparse search are served dense"


async def eventually_found(vectors: MilvusVectors, collection: str) -> set[str]:
    async with asyncio.timeout(90):
        while True:
            try:
                if documents := await found(vectors, collection):
                    return documents
            except (Unavailable, DeadlineExceeded):
                pass
            await asyncio.sleep(0.2)
