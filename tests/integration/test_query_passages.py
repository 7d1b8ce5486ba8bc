"""The passages that suggestions are read from, on a real Milvus Lite server."""

from collections.abc import AsyncIterator

import numpy as np
import pytest_asyncio

from ragmesh.filter import Equals
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import Scope
from tests.milvus_server import MilvusServer
from tests.query_fakes import LetterEmbedder, passage

COLLECTION = "sampled"


@pytest_asyncio.fixture(scope="module")
async def store(tmp_path_factory) -> AsyncIterator[MilvusVectors]:
    async with (
        MilvusServer(tmp_path_factory.mktemp("sampled")) as server,
        MilvusVectors(server.uri, "", LetterEmbedder().info) as store,
    ):
        chunks = [
            passage(f"{name} {i}", document=name, ordinal=i, collection_id=COLLECTION)
            for name in ("long", "short")
            for i in range({"long": 30, "short": 2}[name])
        ]
        await store.upsert(chunks, np.eye(26, dtype=np.float32)[[i % 26 for i in range(len(chunks))]])
        yield store


async def test_a_sample_holds_the_beginning_of_every_document(store: MilvusVectors):
    sample = await store.sample(Scope(COLLECTION), 64)

    assert {chunk.document_id for chunk in sample} == {"long", "short"}
    assert max(chunk.ordinal for chunk in sample) < 10


async def test_a_sample_keeps_to_its_scope_and_limit(store: MilvusVectors):
    sample = await store.sample(Scope(COLLECTION, (Equals("document_id", "long"),)), 3)

    assert [chunk.document_id for chunk in sample] == ["long"] * 3
    assert await store.sample(Scope("another"), 3) == []


async def test_a_sample_is_the_same_each_time(store: MilvusVectors):
    assert await store.sample(Scope(COLLECTION), 64) == await store.sample(Scope(COLLECTION), 64)
