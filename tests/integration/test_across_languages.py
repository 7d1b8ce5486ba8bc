"""Passages found across languages, with the real embedder on Triton and a real index in Milvus Lite."""

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from ragmesh.errors import FailedPrecondition
from ragmesh.filter import Equals
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.port import Role
from ragmesh.language import language_of
from ragmesh.storage.vectors import milvus
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import Hit, Scope, Vectors
from svc_query.fusion import dense_weight, fuse
from svc_query.lexical import by_words
from svc_query.ports import Collection, Live
from svc_query.retrieve import Mode, Retriever, Search
from tests.milvus_server import MilvusServer
from tests.query_fakes import passage
from tests.triton_server import TritonServer

# On each topic something is said in one language alone, among passages on the same topic in the other.
ENGLISH = {
    "ferry-times": "The ferry to the island of Marken leaves at half past six and takes forty minutes.",
    "ferry-crew": "The crew of the ferry has nine members, and the captain has sailed it since 1998.",
    "harbour": "The harbour was deepened so that larger ships could moor beside the old quay.",
    "tower-height": "The iron tower is 330 metres tall and was completed in March 1889.",
    "expenses": "A hotel may cost up to 140 euros a night; the receipt is sent in within ten days.",
    "trains": "Trains to the airport run every quarter of an hour from platform four.",
}
CHINESE = {
    "渡轮票价": "前往马尔肯岛的渡轮成人票价为二十五元，儿童半价。",
    "渡轮历史": "这条渡轮航线开通于一九五三年，最初只运送邮件。",
    "铁塔历史": "这座铁塔最初遭到许多艺术家的反对，他们认为它破坏了城市的美观。",
    "铁塔油漆": "铁塔每七年重新刷一次油漆，需要六十吨油漆。",
    "保留": "客户数据在合同结束后保留九十天，然后永久删除。",
    "宿舍": "新员工可以申请宿舍，入住前需要交纳押金。",
}


class Everything:
    """The document service of a tenant whose documents are all alive."""

    async def collection(self, tenant: str, name: str) -> Collection:
        return Collection(name, 1)

    async def live(self, tenant: str, collection: str, document_ids: Sequence[str]) -> Live:
        return Live(Collection(collection, 1), dict.fromkeys(document_ids, 1))


class Observed(MilvusVectors):
    """Notes what it is asked."""

    scopes: list[Scope]

    async def search_dense(self, scope: Scope, vectors: Vectors, limit: int) -> Sequence[Sequence[Hit]]:
        self.scopes.append(scope)
        return await super().search_dense(scope, vectors, limit)

    async def search_sparse(self, scope: Scope, queries: Sequence[str], limit: int) -> Sequence[Sequence[Hit]]:
        self.scopes.append(scope)
        return await super().search_sparse(scope, queries, limit)


@pytest_asyncio.fixture(scope="module")
async def embedder(triton: TritonServer) -> AsyncIterator[TritonEmbedder]:
    async with TritonEmbedder(triton.url, "e5-small@1") as embedder:
        yield embedder


@pytest_asyncio.fixture(scope="module")
async def milvus_server(tmp_path_factory) -> AsyncIterator[MilvusServer]:
    async with MilvusServer(tmp_path_factory.mktemp("across")) as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def store(milvus_server: MilvusServer, embedder: TritonEmbedder) -> AsyncIterator[Observed]:
    async with Observed(milvus_server.uri, "", embedder.info) as store:
        store.scopes = []
        await fill(store, embedder, "mixed", ENGLISH | CHINESE)
        await fill(store, embedder, "english", {f"{name}-alone": text for name, text in ENGLISH.items()})
        yield store


@pytest_asyncio.fixture
async def retriever(store: Observed, embedder: TritonEmbedder) -> AsyncIterator[Retriever]:
    store.scopes.clear()
    async with Retriever(embedder, store, Everything()) as retriever:
        yield retriever


async def fill(store: MilvusVectors, embedder: TritonEmbedder, collection: str, texts: dict[str, str]) -> None:
    chunks = [
        passage(text, document=name, collection_id=collection, language=language_of(text))
        for name, text in texts.items()
    ]
    await store.upsert(chunks, await embedder.embed(list(texts.values()), Role.PASSAGE))


def search(collection: str, text: str, **options: object) -> Search:
    return Search("tenant", collection, text, 5, **options)


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("渡轮六点半从哪里出发？要多少分钟？", "ferry-times"),
        ("铁塔有多高？", "tower-height"),
        ("渡轮上有几名船员？", "ferry-crew"),
        ("How often is the tower painted?", "铁塔油漆"),
        ("How much is a ticket for the ferry?", "渡轮票价"),
        ("When was the ferry line opened?", "渡轮历史"),
        ("铁塔多久刷一次油漆？", "铁塔油漆"),
        ("How tall is the tower?", "tower-height"),
        ("How much may a hotel cost a night?", "expenses"),
        ("客户数据保留多久？", "保留"),
    ],
)
async def test_a_question_finds_its_passage_in_whichever_language_it_is(retriever, question, document):
    found = await retriever.retrieve(search("mixed", question))

    assert found.hits[0].chunk.document_id == document
    assert len({hit.chunk.chunk_id for hit in found.hits}) == 5


async def test_a_collection_in_one_language_is_searched_as_if_there_were_no_other(retriever, store, embedder):
    question = "How tall is the tower?"

    found = await retriever.retrieve(search("english", question))

    scope, (vector,) = Scope("english"), await embedder.embed([question], Role.QUERY)
    assert store.scopes == [scope, scope]
    (dense,) = await store.search_dense(scope, vector[None], 20)
    (sparse,) = await store.search_sparse(scope, [question], 20)
    weight = dense_weight(question, embedder.info.languages, sparse)
    assert found.hits == fuse(dense, by_words(question, [*dense, *sparse]), weight)[:5]


async def test_who_filters_by_language_gets_that_language_alone(retriever):
    found = await retriever.retrieve(search("mixed", "渡轮几点出发？", filter=(Equals("language", "zh"),)))

    assert {hit.chunk.language for hit in found.hits} == {"zh"}


async def test_words_are_searched_for_as_before(retriever, store):
    found = await retriever.retrieve(search("mixed", "ferry", mode=Mode.SPARSE))

    assert {hit.chunk.document_id for hit in found.hits} == {"ferry-times", "ferry-crew"}
    assert store.scopes == [Scope("mixed")]


async def test_a_collection_of_before_goes_on_and_says_what_it_can_not(
    tmp_path, embedder, monkeypatch: pytest.MonkeyPatch
):
    whole = milvus.schema

    def older(dims: int, *, bm25: bool):
        fields = whole(dims, bm25=bm25)
        fields.fields[:] = [field for field in fields.fields if field.name != "language"]
        return fields

    monkeypatch.setattr(milvus, "schema", older)
    async with MilvusServer(tmp_path) as server, MilvusVectors(server.uri, "", embedder.info) as store:
        await fill(store, embedder, "mixed", ENGLISH | CHINESE)
        async with Retriever(embedder, store, Everything()) as retriever:
            found = await retriever.retrieve(search("mixed", "铁塔多久刷一次油漆？"))
            with pytest.raises(FailedPrecondition, match="re-embed them"):
                await retriever.retrieve(search("mixed", "铁塔", filter=(Equals("language", "zh"),)))

    assert found.hits[0].chunk.document_id == "铁塔油漆"
    assert found.hits[0].chunk.language == "zh"
