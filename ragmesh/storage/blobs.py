"""Where originals are kept: files on one machine, S3 or GCS in a cluster, through obstore.

blobs = ObjectBlobs.at("file:///var/lib/ragmesh/blobs")
await blobs.write(document_id, pieces)
async with blobs.local(document_id) as path:
    text = parse(path)
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from ragmesh.errors import NotFound, Unavailable

READ_BYTES = 128 * 1024
PARTS_AT_ONCE = 2  # of 5 MiB each: what one upload holds in memory
LIST_LENGTH = 1000
STAGED = "*#*"  # how obstore names a file that is still being written; keys have no "#"


class Blobs(Protocol):
    """Bytes by key. A key is a path segment of letters, digits and hyphens, and is written once.

    Raises Unavailable where the store can't be reached.
    """

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Keeps the pieces. Once it returns they are durable; if it raises or is cancelled, nothing is there.

        What `pieces` raises comes out of here unchanged.
        """
        ...

    def read(self, key: str, *, offset: int = 0) -> AsyncGenerator[bytes]:
        """The bytes from an offset on, in pieces of any size. Raises NotFound."""
        ...

    def local(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The bytes as a file to read while the block lasts. Raises NotFound."""
        ...

    async def delete(self, key: str) -> None:
        """Deletes a blob; one that is not there is as good as deleted."""
        ...

    def keys(self, *, older_than_s: float) -> AsyncIterator[list[str]]:
        """Every key that was written longer ago than that, up to a thousand at a time."""
        ...

    async def sweep(self, *, older_than_s: float) -> int:
        """Removes what killed processes left half written longer ago than that; returns how many there were."""
        ...


class ObjectBlobs:
    """Blobs in a store that obstore knows."""

    def __init__(self, store: ObjectStore, folder: Path | None) -> None:
        """`folder` is where a local store keeps its files, None for a remote one."""
        self._store = store
        self._folder = folder

    @classmethod
    def at(cls, url: str) -> Self:
        """`file:///folder` (made where missing), `s3://bucket/prefix`, `gs://bucket/prefix`."""
        parts = urlsplit(url)
        if parts.scheme != "file":
            return cls(from_url(url), None)
        folder = Path(unquote(parts.path))
        return cls(LocalStore(folder, mkdir=True), folder)

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        with _reported(key):
            await obstore.put_async(self._store, key, pieces, max_concurrency=PARTS_AT_ONCE)
        if self._folder:
            await asyncio.to_thread(_sync, self._folder, key)

    async def read(self, key: str, *, offset: int = 0) -> AsyncGenerator[bytes]:
        with _reported(key):
            if offset >= (await obstore.head_async(self._store, key))["size"]:
                return
            found = await obstore.get_async(self._store, key, options={"range": {"offset": offset}})
            async for piece in found.stream(READ_BYTES):
                yield bytes(piece)

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        if self._folder:
            with _reported(key):
                await obstore.head_async(self._store, key)
            yield self._folder / key
            return
        with tempfile.TemporaryDirectory(prefix="ragmesh-") as folder:
            path = Path(folder) / key
            with path.open("wb") as file:
                async with aclosing(self.read(key)) as pieces:
                    async for piece in pieces:
                        file.write(piece)
            yield path

    async def delete(self, key: str) -> None:
        try:
            with _reported(key):
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def keys(self, *, older_than_s: float) -> AsyncIterator[list[str]]:
        limit = time.time() - older_than_s
        with _reported("the list"):
            async for entries in obstore.list(self._store, chunk_size=LIST_LENGTH):
                yield [entry["path"] for entry in entries if entry["last_modified"].timestamp() <= limit]

    async def sweep(self, *, older_than_s: float) -> int:
        if not self._folder:
            return 0  # remote stores show nothing of an upload that was not completed
        return await asyncio.to_thread(_remove_staged, self._folder, time.time() - older_than_s)


@contextmanager
def _reported(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"no bytes are kept under {key}") from None
    except (BaseError, OSError) as error:
        raise Unavailable("the blob store can't be reached or is full; try again") from error


def _sync(folder: Path, key: str) -> None:
    """Makes a file and its name survive a power cut."""
    for path in (folder / key, folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_staged(folder: Path, written_before: float) -> int:
    abandoned = [path for path in folder.glob(STAGED) if path.stat().st_mtime <= written_before]
    for path in abandoned:
        path.unlink(missing_ok=True)
    return len(abandoned)
