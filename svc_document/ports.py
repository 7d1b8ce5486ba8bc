"""What the domain asks of the world. `store` implements the first four in SQL; the others come from `ragmesh`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from svc_document.chunking import ChunkedDocument
from svc_document.model import (
    Backlog,
    Collection,
    Document,
    Failure,
    Lease,
    LiveDocument,
    NewDocument,
    Queued,
    Result,
    State,
    Stats,
)


class Collections(Protocol):
    """Collections by tenant and name. `default` is made where it is first asked for."""

    async def find(self, tenant: str, name: str) -> Collection:
        """Raises NotFound."""
        ...

    async def create(self, tenant: str, name: str) -> Collection:
        """Raises AlreadyExists."""
        ...

    async def page(self, tenant: str, *, after: str, limit: int) -> list[Collection]:
        """Those whose names come after one, by name."""
        ...

    async def hide(self, tenant: str, name: str) -> Collection:
        """Takes it and its documents out of everyone's sight, in one transaction. Raises NotFound."""
        ...


class Documents(Protocol):
    """Documents as their owners see and change them. All but `read_many` hide those being deleted."""

    async def add(self, collection: Collection, new: NewDocument) -> Document:
        """Adds and queues it in one transaction, or returns the one with the same bytes and name, or the same key.

        Raises NotFound where the collection is gone, AlreadyExists where the key was used for something else,
        FailedPrecondition where what it was used for is deleted, Aborted where an equal one was added and deleted
        at the same moment.
        """
        ...

    async def get(self, tenant: str, document_id: str) -> Document:
        """Raises NotFound."""
        ...

    async def page(
        self, collection: Collection, *, state: State | None, before: str | None, limit: int
    ) -> list[Document]:
        """Those older than `before`, newest first."""
        ...

    async def read_many(self, document_ids: Sequence[str]) -> list[Document]:
        """Those of them that exist, whoever owns them, in no order."""
        ...

    async def resolve(
        self, tenant: str, name: str, document_ids: Sequence[str]
    ) -> tuple[Collection, list[LiveDocument]] | None:
        """A collection and those of some documents that are searchable, in one consistent view; None without it."""
        ...

    async def reprocess(self, tenant: str, document_id: str) -> Document:
        """Queues its next generation, in one transaction, unless one is in the making. Raises NotFound."""
        ...

    async def failed(self, *, before: str | None, limit: int) -> list[Document]:
        """Those that were given up, of all tenants, newest first."""
        ...

    async def retry_failed(self, document_ids: Sequence[str], *, limit: int) -> int:
        """Queues those of them that were given up (without any: all) anew; returns how many, `limit` at most."""
        ...

    async def hide(self, tenant: str, document_id: str) -> Document:
        """Takes it out of everyone's sight, in one transaction; again is no harm. Raises NotFound."""
        ...

    async def erase(self, document_id: str) -> None:
        """Forgets a hidden document, unless a worker's lease on it still runs."""
        ...

    async def unknown(self, document_ids: Sequence[str]) -> set[str]:
        """Those of them that do not exist."""
        ...


class Leases(Protocol):
    """Who processes which document. Writes under a lease that is over raise LeaseLost and change nothing."""

    async def take(self, queued: Queued) -> Lease | None:
        """Leases a document that waits, or whose lease is over; None where there is nothing to do (now)."""
        ...

    async def renew(self, progress: Mapping[Lease, float]) -> set[Lease]:
        """Prolongs leases and notes their progress; returns those that still hold."""
        ...

    async def finish(self, lease: Lease, result: Result) -> None:
        """READY: the lease's generation is the searchable one from here on."""
        ...

    async def retry(self, lease: Lease, failure: Failure, delay_s: float) -> None:
        """QUEUED again, but not before the delay is over."""
        ...

    async def fail(self, lease: Lease, failure: Failure) -> None:
        """FAILED. The generation that was searchable before still is."""
        ...

    async def release(self, lease: Lease) -> None:
        """Gives it back untried. Never raises LeaseLost."""
        ...

    async def oldest_kept(self, document_id: str) -> int | None:
        """The oldest generation whose chunks must stay; None where the document is gone or being deleted."""
        ...


class Chores(Protocol):
    """What a sweep looks for."""

    async def requeue(self) -> int:
        """Queues what is due for another try and what a dead worker held; returns how many."""
        ...

    async def half_deleted(self, *, older_than_s: float) -> list[Document]:
        """Documents whose deletion was begun longer ago, and that no worker holds."""
        ...

    async def empty_deleted_collections(self) -> list[str]:
        """Ids of deleted collections without documents."""
        ...

    async def erase_collection(self, collection_id: str) -> None:
        """Forgets a deleted collection."""
        ...

    async def forget_upload_keys(self, *, older_than_s: float) -> None:
        """Lets keys of uploads be used for others."""
        ...

    async def backlog(self) -> Backlog:
        """What is unfinished; cheap, however many documents are finished."""
        ...

    async def stats(self) -> Stats:
        """Counts over all tenants."""
        ...


class Cutter(Protocol):
    """Reads text out of files and cuts it, where a hostile file harms nobody else."""

    async def chunks(self, path: Path, name: str) -> ChunkedDocument:
        """The passages of a file. Raises ParseError."""
        ...
