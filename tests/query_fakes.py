"""Small stand-ins for what the query service asks, for tests of its logic alone.

The models here are no models: `ScriptedModel` says what a test wrote for it, and `LetterEmbedder` counts letters.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from collections.abc import Collection as CollectionOf
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ragmesh.chunk import Chunk
from ragmesh.errors import MeshError, NotFound
from ragmesh.filter import Equals
from ragmesh.inference.port import EmbedderInfo, LanguageModelInfo, Message, Piece, Role, Sampling, Words
from ragmesh.inference.vocabulary import Estimate
from ragmesh.storage.vectors.port import Edition, Hit, Scope, Vectors
from ragmesh.terms import terms
from svc_query.ports import Collection, Live

TENANT = "acme"


def passage(text: str, *, document: str = "guide", ordinal: int = 0, **other: object) -> Chunk:
    fields = {"collection_id": "c1", "generation": 1, "content_type": "text/plain", "page": 1, **other}
    return Chunk(
        document_id=document,
        ordinal=ordinal,
        document_name=f"{document}.txt",
        start=0,
        end=len(text),
        text=text,
        **fields,  # type: ignore[arg-type] named as its fields
    )


class LetterEmbedder:
    """Embeds a text as the count of its letters, and counts its calls."""

    def __init__(self, name: str = "letters") -> None:
        """By the name of a model that was calibrated, what is found is judged."""
        self.info = EmbedderInfo(name, "1", 26, 512, frozenset({"en", "zh"}), "", "")
        self.embedded: list[str] = []

    async def embed_counted(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.float32], int]:
        return await self.embed(texts, role), len(texts)

    async def embed_words(self, text: str, role: Role) -> Words:
        words = text.split()
        vectors = await LetterEmbedder().embed(words, role)
        return Words(vectors.astype(np.float16), np.zeros(len(words), np.int32))

    async def embed(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        self.embedded += texts
        counts = [[text.lower().count(chr(97 + i)) + 1e-3 for i in range(26)] for text in texts]
        vectors = np.array(counts, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ScriptedModel:
    """A language model that says what the test wrote, and counts how often it was closed."""

    def __init__(self, *pieces: str, languages: str = "en zh", fault: MeshError | None = None) -> None:
        self.info = LanguageModelInfo("scripted", "1", 2048, "", frozenset(languages.split()), 3.0)
        self.tokens = Estimate(3.0)
        self.pieces = pieces
        self.fault = fault
        self.prompts: list[Sequence[Message]] = []
        self.closed = 0
        self.waits = False
        self.writing = asyncio.Event()
        self.stopped = asyncio.Event()

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        return self.tokens.count_prompt("".join(message.content for message in messages))

    def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return self.generate([Message("", prompt)], sampling)

    async def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        self.prompts.append(messages)
        try:
            for text in self.pieces:
                yield Piece(text)
            self.writing.set()
            if self.waits:
                await asyncio.Event().wait()
            if self.fault:
                raise self.fault
            yield Piece("", "stop", prompt_tokens=7, completion_tokens=len(self.pieces))
        finally:
            self.closed += 1
            self.stopped.set()


class FewChunks:
    """A searcher over a list: nearest vectors by their product, words by how many are shared."""

    ranks_words = True

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = list(chunks)

    async def search_dense(self, scope: Scope, vectors: Vectors, limit: int) -> list[list[Hit]]:
        chunks = self._seen(scope)
        if not chunks:
            return [[] for _ in vectors]
        own = await LetterEmbedder().embed([chunk.text for chunk in chunks], Role.PASSAGE)
        return [_best(chunks, own @ vector, limit) for vector in vectors]

    async def search_sparse(self, scope: Scope, queries: Sequence[str], limit: int) -> list[list[Hit]]:
        chunks = self._seen(scope)
        shared = [[len(terms(chunk.titled) & terms(query)) for chunk in chunks] for query in queries]
        return [[hit for hit in _best(chunks, scores, limit) if hit.score] for scores in shared]

    async def languages(self, collection_id: str) -> frozenset[str]:
        return frozenset(chunk.language for chunk in self.chunks if chunk.language)

    async def sample(self, scope: Scope, limit: int) -> list[Chunk]:
        return self._seen(scope)[:limit]

    async def listed(self, edition: Edition, ordinals: range, page: int) -> list[Chunk]:
        chunks = [chunk for chunk in self._of(edition) if chunk.ordinal in ordinals]
        return sorted((chunk for chunk in chunks if page in {0, chunk.page}), key=attrgetter("ordinal"))

    async def count_before(self, edition: Edition, page: int) -> int:
        return sum(chunk.page < page for chunk in self._of(edition))

    def _of(self, edition: Edition) -> list[Chunk]:
        wanted = (edition.document_id, edition.generation)
        return [chunk for chunk in self.chunks if (chunk.document_id, chunk.generation) == wanted]

    def _seen(self, scope: Scope) -> list[Chunk]:
        ids = {test.value for test in scope.filter if isinstance(test, Equals)}
        return [chunk for chunk in self.chunks if not ids or chunk.document_id in ids]


class OneCollection:
    """The document service of a tenant with the collection "default", where every chunk's document is alive."""

    def __init__(self, searcher: FewChunks) -> None:
        self.searcher = searcher
        self.revision = 1

    async def collection(self, tenant: str, name: str) -> Collection:
        if name != "default":
            raise NotFound(f"there is no collection {name!r}")
        return Collection("c1", self.revision)

    async def live(self, tenant: str, collection: str, document_ids: CollectionOf[str]) -> Live:
        alive = {chunk.document_id: chunk.generation for chunk in self.searcher.chunks}
        return Live(await self.collection(tenant, collection), {k: alive[k] for k in document_ids if k in alive})


def _best(chunks: Sequence[Chunk], scores: Sequence[float] | NDArray[np.float32], limit: int) -> list[Hit]:
    hits = [Hit(chunk, float(score)) for chunk, score in zip(chunks, scores, strict=True)]
    return sorted(hits, key=lambda hit: -hit.score)[:limit]
