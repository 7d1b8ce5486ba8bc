"""Nothing deleted is ever shown: what the index returns is checked against the document service.

The index may still hold chunks of a deleted document, or of a generation that is being written or removed. A
collection's revision grows with every change of what may be shown, so an answer of the document service holds for
as long as the revision stays, and most searches need to ask only for that.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ragmesh.storage.vectors.port import Hit
from svc_query.coalesce import Coalescer
from svc_query.ports import Collection, Documents, Live

COLLECTIONS_MAX = 1024
DOCUMENTS_MAX = 100_000  # of one collection


@dataclass(frozen=True, slots=True)
class Place:
    """A collection by its tenant and name."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """Hits that may be shown."""

    hits: list[Hit]
    is_outdated: bool  # of a document that may be shown only another generation was found: it is made anew just now


@dataclass(slots=True)
class _Known:
    """What is known of one revision of a collection."""

    revision: int
    generations: dict[str, int | None] = field(default_factory=dict[str, int | None])  # None: not to be shown


class Liveness:
    """Resolves collections and drops what may not be shown. Concurrent searches share its calls."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._collections = Coalescer("collection", self._get_collection)
        self._lives = Coalescer("live", self._get_live)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._collections)
        await self._stack.enter_async_context(self._lives)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def collection(self, place: Place) -> Collection:
        """The collection as it is at this moment, or later. Raises NotFound."""
        return await self._collections(place, None)

    async def sift(self, place: Place, collection: Collection, hits: Sequence[Hit]) -> Sifted:
        """The hits that could be shown when `collection` was read, or later."""
        wanted = {hit.chunk.document_id for hit in hits}
        generations = self._generations(collection)
        unknown = frozenset(wanted - generations.keys())
        if unknown:
            live = await self._lives(place, unknown)
            generations = {**generations, **self._learn(live, unknown)}
        shown = [hit for hit in hits if generations.get(hit.chunk.document_id) == hit.chunk.generation]
        alive = {document_id for document_id in wanted if generations.get(document_id) is not None}
        return Sifted(shown, is_outdated=alive != {hit.chunk.document_id for hit in shown})

    def _generations(self, collection: Collection) -> dict[str, int | None]:
        known = self._known.get(collection.id)
        if known is None or known.revision < collection.revision:
            return {}
        self._known.move_to_end(collection.id)
        return known.generations

    def _learn(self, live: Live, asked: frozenset[str]) -> dict[str, int | None]:
        """Remembers an answer, where it is not older than what is known."""
        learnt = {document_id: live.generations.get(document_id) for document_id in asked}
        known = self._known.setdefault(live.collection.id, _Known(live.collection.revision))
        if known.revision < live.collection.revision or len(known.generations) > DOCUMENTS_MAX:
            known = self._known[live.collection.id] = _Known(live.collection.revision)
        if known.revision == live.collection.revision:
            known.generations.update(learnt)
        if len(self._known) > COLLECTIONS_MAX:
            self._known.popitem(last=False)
        return learnt

    async def _get_collection(self, place: Place, callers: Sequence[None]) -> list[Collection]:
        collection = await self._documents.collection(place.tenant, place.name)
        return [collection] * len(callers)

    async def _get_live(self, place: Place, callers: Sequence[frozenset[str]]) -> list[Live]:
        live = await self._documents.live(place.tenant, place.name, frozenset[str]().union(*callers))
        return [live] * len(callers)
