"""What Milvus Lite has acknowledged is there after it was killed, however many wrote at once."""

import asyncio
import uuid

import numpy as np

from ragmesh.chunk import Chunk
from ragmesh.inference.port import EmbedderInfo
from ragmesh.storage.vectors.milvus import MilvusVectors
from tests.milvus_server import MilvusServer

EMBEDDER = EmbedderInfo("toy-model", "1", 8, 512, frozenset({"en"}), "", "")
WRITERS, CHUNKS = 40, 12


def chunks_of(document_id: str) -> list[Chunk]:
    return [
        Chunk(
            collection_id="kept",
            document_id=document_id,
            generation=1,
            ordinal=ordinal,
            document_name="note.md",
            content_type="text/markdown",
            page=0,
            start=0,
            end=500,
            text="words " * 100,
            headings=(),
            metadata={},
        )
        for ordinal in range(CHUNKS)
    ]


async def test_what_many_write_at_once_survives_a_kill(tmp_path):
    documents = [str(uuid.uuid4()) for _ in range(WRITERS)]
    vectors_of = np.eye(8, dtype=np.float32)[np.zeros(CHUNKS, dtype=int)]

    async with MilvusServer(tmp_path) as server:
        async with MilvusVectors(server.uri, "", EMBEDDER) as vectors:
            await asyncio.gather(*(vectors.upsert(chunks_of(document), vectors_of) for document in documents))
        await server.kill()
        await server.start()

        async with MilvusVectors(server.uri, "", EMBEDDER) as vectors:
            counts = [await vectors.count("kept", document, 1) for document in documents]

    assert counts == [CHUNKS] * WRITERS
