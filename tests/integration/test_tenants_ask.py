"""One tenant never hears of another's documents, whatever both do: over every RPC of the query service.

Documents, vectors, cache and shared flights are real. Only the models are stand-ins, and the worst there could be:
all texts are equally near to each other, and the language model says aloud all that it is given to read.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragmesh import v1
from ragmesh.errors import NotFound
from ragmesh.inference.port import EmbedderInfo, LanguageModelInfo, Message, Piece, Role, Sampling
from ragmesh.inference.vocabulary import Estimate
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.storage.cache.redis import RedisCache
from ragmesh.storage.redis import RedisLink
from ragmesh.storage.vectors.milvus import MilvusVectors
from svc_query.answers import Answers
from svc_query.documents import RemoteDocuments
from svc_query.index import Index
from svc_query.lookups import CachedEmbedder
from svc_query.passages import Passages
from svc_query.redis_flights import RedisFlights
from svc_query.retrieve import Retriever
from svc_query.service import QueryServicer
from svc_query.suggest import Suggester
from tests.documents import DIMS, House, house
from tests.integration.test_tenants import call, methods
from tests.milvus_server import MilvusServer
from tests.servers import Server

COLLECTIONS = ("default", "handbook")
TENANTS = ("ann", "bob")
OWNER = re.compile(r"of(ann|bob)[0-9a-f]{8}")
QUESTION = "When was the lighthouse completed?"


class AlikeEmbedder:
    """To it all texts are the same."""

    info = EmbedderInfo("hash", "1", DIMS, 512, frozenset({"en"}), "", "")

    async def embed(self, texts: Sequence[str], role: Role) -> np.ndarray:
        return np.full((len(texts), DIMS), DIMS**-0.5, np.float32)

    async def embed_counted(self, texts: Sequence[str], role: Role) -> tuple[np.ndarray, int]:
        return await self.embed(texts, role), len(texts)


class Parrot:
    """A language model that repeats its prompt."""

    info = LanguageModelInfo("parrot", "1", 8192, "", frozenset({"en"}), 3.0)
    tokens = Estimate(3.0)

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        return sum(self.tokens.count(message.content) for message in messages)

    async def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        yield Piece(" ".join(message.content for message in messages))
        yield Piece("", "stop", prompt_tokens=1, completion_tokens=1)

    def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return self.generate([Message("", prompt)], sampling)


@dataclass
class World:
    """Both services, and what each tenant has."""

    home: House
    stub: v1.QueryServiceStub
    names: dict[str, str] = field(default_factory=dict)  # of tenants, of this world alone, as the tests call them
    kept: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # ids by tenant and collection
    deleted: list[str] = field(default_factory=list)

    async def upload(self, tenant: str, collection: str) -> None:
        text = f"Lighthouse of{tenant}{uuid4().hex[:8]} is a lighthouse that was completed in 1889."

        async def requests() -> AsyncIterator[v1.UploadDocumentRequest]:
            yield v1.UploadDocumentRequest(spec=v1.UploadSpec(collection=collection, name="notes.txt"))
            yield v1.UploadDocumentRequest(data=text.encode())

        document = await call(self.home, self.names[tenant], "upload_document", requests())
        states = await call(
            self.home, self.names[tenant], "watch_document", v1.WatchDocumentRequest(id=document.id)
        )
        assert states[-1].state == v1.DocumentState.READY
        self.kept[tenant, collection].append(document.id)

    async def delete(self, tenant: str, collection: str) -> None:
        if kept := self.kept[tenant, collection]:
            self.deleted.append(kept.pop(0))
            await call(
                self.home, self.names[tenant], "delete_document", v1.DeleteDocumentRequest(id=self.deleted[-1])
            )

    async def search(self, tenant: str, collection: str) -> None:
        for mode in (v1.SearchMode.HYBRID, v1.SearchMode.DENSE, v1.SearchMode.SPARSE):
            request = v1.SearchRequest(collection=collection, query=QUESTION, top_k=50, mode=mode)
            found = await self._ask(tenant, self.stub.search, request)
            self._heard(tenant, collection, [result.chunk.text for result in found.results if result.chunk])

    async def search_within_anothers(self, tenant: str, collection: str) -> None:
        """By the id of a document that the tenant has not."""
        others = [ids for (owner, _), ids in self.kept.items() if owner != tenant]
        for document_id in {document_id for ids in others for document_id in ids}:
            where = v1.Filter(conditions=[v1.Condition(field="document_id", equals=document_id)])
            request = v1.SearchRequest(collection=collection, query=QUESTION, filter=where)
            assert (await self._ask(tenant, self.stub.search, request)).results == []
            suggest = v1.SuggestQuestionsRequest(collection=collection, document_id=document_id)
            assert (await self._ask(tenant, self.stub.suggest_questions, suggest)).questions == []

    async def answer(self, tenant: str, collection: str) -> None:
        await self._answered(tenant, collection, self.stub.answer)

    async def chat(self, tenant: str, collection: str) -> None:
        async def turn(question: v1.AnswerRequest) -> AsyncIterator[v1.ChatRequest]:
            yield v1.ChatRequest(turn=question)

        await self._answered(
            tenant, collection, lambda question, **options: self.stub.chat(turn(question), **options)
        )

    async def _answered(self, tenant: str, collection: str, method: Callable[..., AsyncIterable]) -> None:
        with bound(tenant=self.names[tenant]), translated():
            request = v1.AnswerRequest(collection=collection, question=QUESTION, top_k=50)
            async with aclosing(aiter(method(request, **outgoing(10)))) as events:
                said = [event async for event in events]
        sources = [c.chunk.text for event in said if event.sources for c in event.sources.citations if c.chunk]
        self._heard(tenant, collection, sources)
        self._heard(tenant, collection, ["".join(event.token.text for event in said if event.token)], of=said)

    async def suggest(self, tenant: str, collection: str) -> None:
        request = v1.SuggestQuestionsRequest(collection=collection, count=10)
        found = await self._ask(tenant, self.stub.suggest_questions, request)
        self._heard(tenant, collection, found.questions)

    async def open(self, tenant: str, collection: str) -> None:
        """Its own documents are there to be read; another tenant's are not, nor those that it deleted."""
        own = self.kept[tenant, collection]
        read = [await self._ask(tenant, self.stub.list_chunks, self._opening(collection, one)) for one in own]
        self._heard(tenant, collection, [chunk.text for part in read for chunk in part.chunks])
        others = [ids for (owner, _), ids in self.kept.items() if owner != tenant]
        for document_id in [*self.deleted, *(document_id for ids in others for document_id in ids)]:
            with pytest.raises(NotFound):
                await self._ask(tenant, self.stub.list_chunks, self._opening(collection, document_id))

    def _opening(self, collection: str, document_id: str) -> v1.ListChunksRequest:
        return v1.ListChunksRequest(collection=collection, document_id=document_id)

    async def complete(self, tenant: str, collection: str) -> None:
        """Reads no documents."""
        with bound(tenant=self.names[tenant]), translated():
            call = self.stub.complete(v1.CompleteRequest(prompt=QUESTION), **outgoing(10))
            assert "".join([event.token.text async for event in call if event.token]) == QUESTION

    async def embed(self, tenant: str, collection: str) -> None:
        """Reads no documents."""
        answer = await self._ask(tenant, self.stub.embed, v1.EmbedRequest(texts=[QUESTION]))
        assert answer.dims == DIMS

    async def _ask(self, tenant: str, method: Callable[..., Awaitable[object]], request: object) -> object:
        with bound(tenant=self.names[tenant]), translated():
            return await method(request, **outgoing(10))

    def _heard(self, tenant: str, collection: str, texts: Sequence[str], of: object = None) -> None:
        """Own text only, and where there is some, some is heard: a test that hears nothing shows nothing."""
        owners = [owner for text in texts for owner in OWNER.findall(text)]
        assert set(owners) <= {tenant}, (texts, of)
        assert bool(owners) == bool(self.kept[tenant, collection]), (texts, of)


@asynccontextmanager
async def queries(home: House, vectors: MilvusVectors, redis: Server) -> AsyncIterator[v1.QueryServiceStub]:
    """A query service before that document service."""
    live, embedder = Live(Settings()), AlikeEmbedder()
    async with RedisLink(redis.url) as link:
        cache, documents = RedisCache(link), RemoteDocuments(home.channel)
        async with Retriever(CachedEmbedder(embedder, cache, 60), vectors, documents) as retriever:
            answers = Answers(
                lambda: retriever,
                Parrot,
                documents=documents,
                cache=cache,
                shared=RedisFlights(link),
                live=live,
            )
            index = Index(
                embedder, retriever, Suggester(retriever, vectors, documents), Passages(vectors, documents)
            )
            servicer = QueryServicer(lambda: index, answers, live=live)
            async with (
                serving("query", [servicer], live) as running,
                open_channel(live.now, running.address) as channel,
            ):
                yield v1.QueryServiceStub(channel)


@pytest.fixture
async def world(tmp_path: Path, milvus_of_hashes: str, redis: Server) -> AsyncIterator[World]:
    async with (
        MilvusVectors(milvus_of_hashes, "", AlikeEmbedder.info) as vectors,
        house(tmp_path, writer=vectors) as home,
        home.working(),
        queries(home, vectors, redis) as stub,
    ):
        yield World(home, stub)


@pytest.fixture(scope="module")
async def milvus_of_hashes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with MilvusServer(tmp_path_factory.mktemp("tenants")) as server:
        yield server.uri


ASKING = {
    "Search": [World.search, World.search_within_anothers],
    "Answer": [World.answer],
    "Chat": [World.chat],
    "SuggestQuestions": [World.suggest],
    "Complete": [World.complete],
    "ListChunks": [World.open],
    "Embed": [World.embed],
}
DEEDS = [World.upload, World.delete, *(ask for asks in ASKING.values() for ask in asks)]


def test_every_rpc_of_the_query_service_is_asked():
    assert methods("QueryService") - {"Rerank"} == ASKING.keys()  # which reads no documents


@given(
    deeds=st.lists(
        st.tuples(st.sampled_from(DEEDS), st.sampled_from(TENANTS), st.sampled_from(COLLECTIONS)), max_size=12
    )
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_tenants_do_each_hears_of_its_own_documents_alone(world: World, deeds: list[tuple]):
    world.names = {tenant: f"{tenant}-{uuid4()}" for tenant in TENANTS}
    world.deleted = []
    world.kept = {(tenant, collection): [] for tenant in TENANTS for collection in COLLECTIONS}
    for tenant in TENANTS:
        await call(
            world.home, world.names[tenant], "create_collection", v1.CreateCollectionRequest(name="handbook")
        )
        await world.upload(tenant, "handbook")

    for deed, tenant, collection in deeds:
        await deed(world, tenant, collection)

    for tenant in TENANTS:
        for ask in (World.search, World.answer, World.suggest, World.open):
            await ask(world, tenant, "handbook")
