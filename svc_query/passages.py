"""The passages of a document in their order: what a reader sees who opens a citation at its place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragmesh.chunk import Chunk
from ragmesh.errors import Aborted, InvalidArgument, NotFound
from ragmesh.storage.vectors.port import ChunkSearcher, Edition
from svc_query.ports import Documents

BEFORE_SHARE = 4  # a quarter of a page of passages stands before the one that is asked for
_TOKEN = re.compile(r"([1-9][0-9]{0,9})-([0-9]{1,10})")
_CHUNK_ID = re.compile(r"(?P<document>.+):(?P<generation>[1-9][0-9]{0,9}):(?P<ordinal>[0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Opening:
    """Which passages of a document are wanted."""

    tenant: str
    collection: str  # name
    document_id: str
    limit: int
    page: int = 0  # 0 for any
    token: str = ""  # of the part before
    around: str = ""  # id of a chunk that shall be among the first ones


@dataclass(frozen=True, slots=True)
class Part:
    """Some passages, and the token for what follows; empty on the last part."""

    chunks: Sequence[Chunk]
    next_token: str


class Passages:
    """Reads documents passage by passage, out of what is searched."""

    def __init__(self, searcher: ChunkSearcher, documents: Documents) -> None:
        self._searcher = searcher
        self._documents = documents

    async def open(self, opening: Opening) -> Part:
        """The wanted passages of a document that may be shown. Raises NotFound, Aborted, InvalidArgument."""
        edition = await self._live_edition(opening)
        first = await self._first(opening, edition)
        chunks = await self._searcher.listed(edition, range(first, first + opening.limit + 1), opening.page)
        if len(chunks) <= opening.limit:
            return Part(chunks, "")
        return Part(chunks[: opening.limit], f"{edition.generation}-{chunks[opening.limit].ordinal}")

    async def _live_edition(self, opening: Opening) -> Edition:
        live = await self._documents.live(opening.tenant, opening.collection, {opening.document_id})
        generation = live.generations.get(opening.document_id)
        if generation is None:
            raise NotFound(
                f"the collection {opening.collection!r} has no searchable document {opening.document_id[:64]!r}"
            )
        return Edition(live.collection.id, opening.document_id, generation)

    async def _first(self, opening: Opening, edition: Edition) -> int:
        """The ordinal to begin with."""
        if opening.token:
            return _continued(opening.token, edition)
        if opening.around:
            return max(0, _place(opening.around, edition) - opening.limit // BEFORE_SHARE)
        return await self._searcher.count_before(edition, opening.page) if opening.page else 0


def _continued(token: str, edition: Edition) -> int:
    match = _TOKEN.fullmatch(token)
    if not match:
        raise InvalidArgument(
            "page_token is not one of this list: pass next_page_token, or none", field="page_token"
        )
    generation, ordinal = map(int, match.groups())
    _check_present(generation, edition)
    return ordinal


def _place(chunk_id: str, edition: Edition) -> int:
    match = _CHUNK_ID.fullmatch(chunk_id)
    if not match or match["document"] != edition.document_id:
        raise InvalidArgument("around is no chunk_id of this document", field="around")
    _check_present(int(match["generation"]), edition)
    return int(match["ordinal"])


def _check_present(generation: int, edition: Edition) -> None:
    if generation != edition.generation:
        raise Aborted("the document was indexed anew since then: ask again, or open it from the beginning")
