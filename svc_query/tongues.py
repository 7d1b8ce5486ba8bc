"""Which languages a collection is written in, asked of the index once for each of its revisions."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from ragmesh.storage.vectors.port import ChunkSearcher
from svc_query.coalesce import Coalescer
from svc_query.ports import Collection

COLLECTIONS_MAX = 1024


class Tongues:
    """Knows languages. Concurrent searches share its calls."""

    def __init__(self, searcher: ChunkSearcher) -> None:
        self._searcher = searcher
        self._known: OrderedDict[str, tuple[int, frozenset[str]]] = OrderedDict()
        self._asking = Coalescer("languages", self._ask)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._asking)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def of(self, collection: Collection) -> frozenset[str]:
        """The languages of a collection's passages; none where that was not noted."""
        revision, languages = self._known.get(collection.id, (-1, frozenset[str]()))
        if revision >= collection.revision:
            self._known.move_to_end(collection.id)
            return languages
        languages = await self._asking(collection.id, None)
        self._known[collection.id] = collection.revision, languages
        if len(self._known) > COLLECTIONS_MAX:
            self._known.popitem(last=False)
        return languages

    async def _ask(self, collection_id: str, callers: Sequence[None]) -> list[frozenset[str]]:
        return [await self._searcher.languages(collection_id)] * len(callers)
