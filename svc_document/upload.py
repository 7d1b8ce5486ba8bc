"""Taking a document in: bytes first, then its row; nothing is left of one that was not complete.

upload -> blob (hashed on the way) -> row and event in one transaction -> Document
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import structlog
import uuid_utils

from ragmesh.errors import InvalidArgument
from ragmesh.storage.blobs import Blobs
from svc_document import naming
from svc_document.model import Collection, Document, NewDocument
from svc_document.ports import Collections, Documents

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Spec:
    """What a caller says of the bytes that follow. Raises InvalidArgument where that can't be."""

    collection: str
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    size_bytes: int | None = None  # expected; None for any
    sha256: str | None = None
    idempotency_key: str = ""  # the client's own; empty for none

    def __post_init__(self) -> None:
        naming.collection_name(self.collection)
        naming.document_name(self.name)
        naming.metadata(self.metadata)
        if self.sha256 is not None:
            naming.sha256(self.sha256)
        naming.idempotency_key(self.idempotency_key)


class Uploads:
    """Takes documents in."""

    def __init__(
        self, collections: Collections, documents: Documents, blobs: Blobs, *, max_bytes: Callable[[], int]
    ) -> None:
        self._collections = collections
        self._documents = documents
        self._blobs = blobs
        self._max_bytes = max_bytes

    async def upload(self, tenant: str, spec: Spec, pieces: AsyncIterator[bytes]) -> Document:
        """Keeps and queues a document, or returns the one already there.

        Raises InvalidArgument, NotFound, AlreadyExists, FailedPrecondition.
        """
        collection = await self._collections.find(tenant, naming.collection_name(spec.collection))
        document_id = str(uuid_utils.uuid7())
        received = Received(spec, self._max_bytes())
        await self._blobs.write(document_id, received.checked(pieces))
        new = NewDocument(
            document_id, spec.name, received.size, received.sha256, spec.metadata, spec.idempotency_key
        )
        accepting = asyncio.create_task(self._accept(collection, new))
        try:
            return await asyncio.shield(accepting)
        except asyncio.CancelledError:
            await accepting  # the bytes are complete: row and blob stay or go together
            raise

    async def _accept(self, collection: Collection, new: NewDocument) -> Document:
        kept = False
        try:
            document = await self._documents.add(collection, new)
            kept = document.id == new.id
        finally:
            if not kept:
                await self._blobs.delete(new.id)
        log.info("document.accepted", document_id=document.id, size_bytes=document.size_bytes, is_new=kept)
        return document


class Received:
    """Counts and hashes what comes in, and refuses it where it is not what was promised."""

    def __init__(self, spec: Spec, max_bytes: int) -> None:
        self._spec = spec
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0
        self._check_limit(spec.size_bytes or 0)

    @property
    def sha256(self) -> str:
        """Of what came so far, lower-case hex."""
        return self._hash.hexdigest()

    async def checked(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same pieces. Raises InvalidArgument as soon as something is wrong, at the end at the latest."""
        async for piece in pieces:
            self.size += len(piece)
            self._check_limit(self.size)
            self._hash.update(piece)
            yield piece
        self._check_end()

    def _check_limit(self, size: int) -> None:
        if size > self._max_bytes:
            raise InvalidArgument(
                f"{self._spec.name} is larger than {self._max_bytes} bytes, the limit: split it", field="size_bytes"
            )

    def _check_end(self) -> None:
        spec = self._spec
        if not self.size:
            raise InvalidArgument(f"{spec.name} is empty: upload a file with content", field="data")
        if spec.size_bytes not in (None, self.size):
            raise InvalidArgument(
                f"{spec.name} was to have {spec.size_bytes} bytes, {self.size} came: upload it again",
                field="size_bytes",
            )
        if spec.sha256 not in (None, self.sha256):
            raise InvalidArgument(
                f"{spec.name} was to have SHA-256 {spec.sha256}, it is {self.sha256}: upload it again",
                field="sha256",
            )
