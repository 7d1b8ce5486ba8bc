"""What the domain of questions needs from outside."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from collections.abc import Collection as CollectionOf
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragmesh.inference.port import Embedder, Role, WordEmbedder
from svc_query.events import AnswerEvent


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection as it was at one moment."""

    id: str
    revision: int  # grows whenever what a search of it can find may have changed


@dataclass(frozen=True, slots=True)
class Live:
    """Which documents may be shown, and the collection when that was read: one consistent view."""

    collection: Collection
    generations: Mapping[str, int]  # by document id; only chunks of this generation may be shown


class Documents(Protocol):
    """The document service's word on what exists. Raises NotFound, Unavailable, DeadlineExceeded."""

    async def collection(self, tenant: str, name: str) -> Collection:
        """The tenant's collection of this name, as it is now."""
        ...

    async def live(self, tenant: str, collection: str, document_ids: CollectionOf[str]) -> Live:
        """Those of the documents that may be shown now."""
        ...


class ReadingEmbedder(Embedder, WordEmbedder, Protocol):
    """An embedder that gives the vector of a text, and those of its words."""


class CountingEmbedder(ReadingEmbedder, Protocol):
    """An embedder that tells what it read, for those who are billed by it."""

    async def embed_counted(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.float32], int]:
        """The vectors, and how many tokens were read for them."""
        ...


class SharedFlights(Protocol):
    """Equal work in flight on several instances, done once where they can agree on it."""

    def join(
        self, key: str, start: Callable[[], AsyncGenerator[AnswerEvent, None]]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of the work with this key, done by this instance or heard from another that does it.

        Raises what the work raises, and Unavailable where it broke off elsewhere and can't be taken up here.
        """
        ...
