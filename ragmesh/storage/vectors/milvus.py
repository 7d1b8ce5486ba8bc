"""Chunks in Milvus: a cluster, a standalone server or Milvus Lite's server, by the same calls as far as they go.

async with MilvusVectors("http://127.0.0.1:19530", "", embedder.info) as vectors:
    await vectors.upsert(chunks, await embedder.embed(texts, Role.PASSAGE))
    (hits,) = await vectors.search_sparse(Scope(collection_id), ["winter tyres"], limit=8)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import structlog
from pymilvus import AsyncMilvusClient, MilvusClient, MilvusException

from ragmesh.chunk import Chunk
from ragmesh.errors import DeadlineExceeded, FailedPrecondition, Internal, MeshError, Unavailable
from ragmesh.inference.port import EmbedderInfo
from ragmesh.storage.vectors.capabilities import Capabilities
from ragmesh.storage.vectors.expression import expression, quoted
from ragmesh.storage.vectors.port import Edition, Hit, Scope, Side, Vectors
from ragmesh.storage.vectors.schema import (
    LANGUAGE,
    READ_FIELDS,
    WORDS,
    chunk_of,
    collection_name,
    indexes,
    row_of,
    schema,
)

ALIAS = "chunks"
LANGUAGES_MAX = 8  # of a collection that are searched for apart
SAMPLED_ORDINALS = 8  # of each document: where it says what it is about
# A Strong read waits until Milvus has applied all that was written before it began: 200 ms on a quiet server, which
# is how often its clock ticks. A Bounded one takes 2 ms and may be seconds behind. What a worker reads back before
# it says READY is therefore read Strong. Searches are Bounded: the nodes that answered the worker have the document
# by then, and what must not be shown any more is taken out by the check for life, not by Milvus.
READ_BACK = "Strong"
SEARCH = "Bounded"
STARTUP_S = 120.0
STARTUP_PAUSE_S = 0.25
NEVER_MS = 2**31 - 1
CHANNEL_OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    # pymilvus pings its server every ten seconds. Milvus Lite takes that for an attack after a while and hangs up:
    # then the next call fails. A server that hangs is noticed by the deadline that every call has.
    "grpc.keepalive_time_ms": NEVER_MS,
}

# Milvus' own error codes
COLLECTION_NOT_FOUND = 100
COLLECTION_NOT_LOADED = 101
ILLEGAL_ARGUMENT = frozenset({6, 1100})

Result = TypeVar("Result")

log = structlog.get_logger()
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises, each with a traceback


class MilvusVectors:
    """Implements ChunkWriter and ChunkSearcher. Entering waits for the server and sets the collection up."""

    def __init__(
        self,
        uri: str,
        token: str,
        embedder: EmbedderInfo,
        *,
        timeout_s: float = 10.0,
        startup_s: float = STARTUP_S,
    ) -> None:
        self._uri = uri
        self._token = token
        self._embedder = embedder
        self._collection = collection_name(embedder.name, embedder.version)
        self._timeout_s = timeout_s
        self._startup_s = startup_s
        self._setting_up = asyncio.Lock()
        self._upserts = True
        self._ranks_words = True
        self._tells_languages = True

    async def __aenter__(self) -> Self:
        await self._wait_until_set_up()
        self._client: Any = AsyncMilvusClient(self._uri, token=self._token, grpc_options=CHANNEL_OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    @property
    def ranks_words(self) -> bool:
        """Whether `search_sparse` can be asked: not every server can."""
        return self._ranks_words

    async def upsert(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Writes chunks with their vectors, shape (len(chunks), dims)."""
        rows = [
            row_of(chunk, vector, bm25=self._ranks_words, language=self._tells_languages)
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        if not rows:
            return
        if self._upserts:
            await self._call(lambda: self._client.upsert(self._collection, rows, retry_times=0))
            return
        await self._call(
            lambda: self._client.delete(self._collection, ids=[row["chunk_id"] for row in rows], retry_times=0)
        )
        await self._call(lambda: self._client.insert(self._collection, rows, retry_times=0))

    async def count(self, collection_id: str, document_id: str, generation: int) -> int:
        """How many chunks of a generation every search that begins from now on can see."""
        return await self._count(_edition(Edition(collection_id, document_id, generation)), READ_BACK)

    async def delete_document(
        self, collection_id: str, document_id: str, *, below_generation: int | None = None
    ) -> None:
        """Deletes a document's chunks: all, or those of generations older than `below_generation`."""
        where = _document(collection_id, document_id)
        if below_generation is not None:
            where += f" and generation < {below_generation}"
        await self._delete(where)

    async def delete_collection(self, collection_id: str) -> None:
        """Deletes every chunk of a collection."""
        await self._delete(expression(Scope(collection_id)))

    async def search_dense(self, scope: Scope, vectors: Vectors, limit: int) -> Sequence[Sequence[Hit]]:
        """The `limit` nearest chunks of each vector by cosine; one list for each, best first."""
        return await self._search(Side.DENSE, scope, list(vectors), limit)

    async def search_sparse(self, scope: Scope, queries: Sequence[str], limit: int) -> Sequence[Sequence[Hit]]:
        """The `limit` best chunks of each query by BM25; one list for each, best first."""
        return await self._search(Side.SPARSE, scope, list(queries), limit)

    async def languages(self, collection_id: str) -> frozenset[str]:
        """The languages of a collection's chunks, up to LANGUAGES_MAX; none where that was not noted."""
        if not self._tells_languages:
            return frozenset()
        found = [""]
        while len(found) <= LANGUAGES_MAX:
            others = ", ".join(map(quoted, found))
            where = f"{expression(Scope(collection_id))} and {LANGUAGE} not in [{others}]"
            rows = await self._call(partial(self._one, where))
            if not rows:
                break
            found.append(str(rows[0][LANGUAGE]))
        return frozenset(found[1:])

    async def _one(self, where: str) -> Any:
        return await self._client.query(
            self._collection, where, output_fields=[LANGUAGE], limit=1, consistency_level=SEARCH, retry_times=0
        )

    async def sample(self, scope: Scope, limit: int) -> Sequence[Chunk]:
        """At most `limit` chunks from the beginnings of documents; the same ones as long as nothing changes."""
        where = f"{self._expression(scope)} and ordinal < {SAMPLED_ORDINALS}"
        rows = await self._call(
            lambda: self._client.query(
                self._collection,
                where,
                output_fields=self._read_fields,
                limit=limit,
                consistency_level=SEARCH,
                retry_times=0,
            )
        )
        return sorted(map(chunk_of, rows), key=attrgetter("chunk_id"))

    async def listed(self, edition: Edition, ordinals: range, page: int) -> Sequence[Chunk]:
        """The chunks with these ordinals on this page, 0 for any, in order. As fresh as what `count` has told."""
        where = f"{_edition(edition)} and ordinal >= {ordinals.start} and ordinal < {ordinals.stop}"
        if page:
            where += f" and page == {page}"
        rows = await self._call(
            lambda: self._client.query(
                self._collection,
                where,
                output_fields=self._read_fields,
                limit=len(ordinals),
                consistency_level=SEARCH,
                retry_times=0,
            )
        )
        return sorted(map(chunk_of, rows), key=attrgetter("ordinal"))

    async def count_before(self, edition: Edition, page: int) -> int:
        """How many chunks come before a page: the ordinal that its first one has, if it has any."""
        return await self._count(f"{_edition(edition)} and page < {page}", SEARCH)

    async def require_leader(self, kept: Collection[str]) -> None:
        """Makes this collection the one that the alias names, if there is none yet.

        Raises FailedPrecondition where the alias names one that is not kept up: searches would find nothing.
        """
        leader = await self._administer(self._led_by)
        if leader is None:
            await self._administer(self._lead)
        elif leader not in kept:
            raise FailedPrecondition(
                f"the documents were indexed as {leader}, but the embedding model in use writes "
                f"{self._collection}: start with the model that indexed them and re-embed "
                "(`ragmesh models reindex`), or with another data folder"
            )

    async def lead(self) -> None:
        """Points the alias at this collection, at once."""
        await self._administer(self._lead)

    async def _administer(self, call: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(call)
        except (MilvusException, grpc.RpcError) as error:
            raise _translated(error) from error

    async def _count(self, where: str, consistency: str) -> int:
        found = await self._call(
            lambda: self._client.query(
                self._collection, where, output_fields=["count(*)"], consistency_level=consistency, retry_times=0
            )
        )
        return int(found[0]["count(*)"])

    async def _search(self, side: Side, scope: Scope, data: list[Any], limit: int) -> Sequence[Sequence[Hit]]:
        where = self._expression(scope)
        found = await self._call(
            lambda: self._client.search(
                self._collection,
                data,
                where,
                limit,
                output_fields=self._read_fields,
                anns_field=side.value,
                consistency_level=SEARCH,
                retry_times=0,
            )
        )
        return [[_hit(side, hit) for hit in hits] for hits in found]

    @property
    def _read_fields(self) -> list[str]:
        return READ_FIELDS if self._tells_languages else [field for field in READ_FIELDS if field != LANGUAGE]

    def _expression(self, scope: Scope) -> str:
        if not self._tells_languages and any(condition.field == LANGUAGE for condition in scope.filter):
            raise FailedPrecondition(
                "these documents were indexed before languages were noted: to filter by language, re-embed them"
                " with another version of the model, or index them anew in another data folder"
            )
        return expression(scope)

    async def _delete(self, where: str) -> None:
        await self._call(
            lambda: self._client.delete(self._collection, filter=where, consistency_level=READ_BACK, retry_times=0)
        )

    async def _call(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Makes a call in the given time. A server that restarted may have to be told to load the collection."""
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await call()
                except MilvusException as error:
                    if error.code not in (COLLECTION_NOT_FOUND, COLLECTION_NOT_LOADED):
                        raise
                async with self._setting_up:
                    await asyncio.to_thread(self._set_up)
                return await call()
        except TimeoutError as error:
            raise DeadlineExceeded(f"Milvus did not answer within {self._timeout_s:g} s") from error
        except (MilvusException, grpc.RpcError) as error:
            raise _translated(error) from error

    async def _wait_until_set_up(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._startup_s
        while True:
            try:
                return await asyncio.to_thread(self._set_up)
            except (MilvusException, grpc.RpcError) as error:
                if loop.time() > give_up_at:
                    raise _translated(error) from error
                log.info("milvus.waiting", uri=self._uri, reason=str(error))
            await asyncio.sleep(STARTUP_PAUSE_S)

    def _set_up(self) -> None:
        """Makes what is missing; several processes may do so at once, and the loser of a race tries again.

        With the synchronous client: to create an index, the asynchronous one asks for a time stamp, which Milvus
        Lite does not give.
        """
        name = self._collection
        with self._administering() as client:
            server = Capabilities.of(str(client.get_server_version()))
            if not client.has_collection(name):
                client.create_collection(name, schema=schema(self._embedder.dims, bm25=server.bm25))
            fields = {field["name"] for field in client.describe_collection(name)["fields"]}
            bm25 = WORDS in fields
            wanted = indexes(bm25=bm25)
            if len(client.list_indexes(name)) < len(wanted):
                client.create_index(name, wanted)
            client.load_collection(name)
            self._adapt(server, bm25=bm25, languages=LANGUAGE in fields)

    def _adapt(self, server: Capabilities, *, bm25: bool, languages: bool) -> None:
        """To the server, and to a collection that an older one made."""
        if self._ranks_words and not bm25:
            log.warning(
                "milvus.no_bm25", version=server.version, effect="hybrid and sparse search are served dense"
            )
        if self._tells_languages and not languages:
            log.warning(
                "milvus.no_languages",
                effect="nothing is found across languages, or filtered by language, until all is re-embedded",
            )
        self._tells_languages = languages
        self._upserts = server.upserts
        self._ranks_words = bm25

    def _led_by(self) -> str | None:
        """The collection that the alias names; None where nothing was ever written."""
        with self._administering() as client:
            try:
                return str(client.describe_alias(ALIAS)["collection_name"])
            except MilvusException:
                return None

    def _lead(self) -> None:
        leader = self._led_by()
        with self._administering() as client:
            if leader is None:
                client.create_alias(self._collection, ALIAS)
            elif leader != self._collection:
                client.alter_alias(self._collection, ALIAS)

    @contextmanager
    def _administering(self) -> Iterator[Any]:
        """The synchronous client: see `_set_up`."""
        client: Any = MilvusClient(
            self._uri, token=self._token, timeout=self._timeout_s, grpc_options=CHANNEL_OPTIONS
        )
        try:
            yield client
        finally:
            client.close()


async def lead(client: AsyncMilvusClient, collection: str) -> None:
    """Points the alias at another collection, at once. Raises Unavailable."""
    try:
        await client.alter_alias(collection, ALIAS)
    except (MilvusException, grpc.RpcError) as error:
        raise _translated(error) from error


async def drop(client: AsyncMilvusClient, collection: str) -> None:
    """Deletes a collection, and all that is in it. Raises Unavailable."""
    try:
        await client.drop_collection(collection)
    except (MilvusException, grpc.RpcError) as error:
        raise _translated(error) from error


def _document(collection_id: str, document_id: str) -> str:
    return f"{expression(Scope(collection_id))} and document_id == {quoted(document_id)}"


def _edition(edition: Edition) -> str:
    return f"{_document(edition.collection_id, edition.document_id)} and generation == {edition.generation}"


def _hit(side: Side, found: Any) -> Hit:
    """BM25 has no negative scores, but Milvus Lite negates them, where Milvus does not."""
    distance = float(found["distance"])
    return Hit(chunk_of(found["entity"]), abs(distance) if side is Side.SPARSE else distance)


def _translated(error: MilvusException | grpc.RpcError) -> MeshError:
    if isinstance(error, MilvusException) and error.code in ILLEGAL_ARGUMENT:
        return Internal(f"Milvus refused a call: {error.message}")
    return Unavailable(f"Milvus cannot be used at present: {error}", retry_after_s=1.0)
