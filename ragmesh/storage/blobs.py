"""Where originals are kept: files on one machine, S3 or GCS in a cluster, through obstore.

blobs = ObjectBlobs.of(settings)
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
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from ragmesh.errors import NotFound, Unavailable
from ragmesh.settings import Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config  # of its stubs alone

READ_BYTES = 128 * 1024
ABORT_S = 5.0
# A store that is silent for this long is away; a whole transfer may take as long as its reader does.
CLIENT: "ClientConfig" = {"connect_timeout": "2s", "read_timeout": "10s", "timeout": "1h"}
RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}
PARTS_AT_ONCE = 1  # of 5 MiB each; a second one that is under way when its upload is aborted would stay behind
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
    def of(cls, settings: Settings) -> Self:
        """The store that the settings name: files (in a folder made where missing), S3, or GCS."""
        parts = urlsplit(settings.blobs)
        if parts.scheme == "s3":
            return cls(_s3(settings), None)
        if parts.scheme != "file":
            return cls(from_url(settings.blobs, client_options=CLIENT, retry_config=RETRIES), None)
        folder = Path(unquote(parts.path))
        return cls(LocalStore(folder, mkdir=True), folder)

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        source = _Source(pieces)
        putting = asyncio.create_task(self._put(key, source))
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            source.stop()  # an upload is aborted for a source that fails, and forgotten by one that is cancelled
            await asyncio.wait([putting], timeout=ABORT_S)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            raise
        if self._folder:
            await asyncio.to_thread(_sync, self._folder, key)

    async def _put(self, key: str, source: "_Source") -> None:
        try:
            with _reported(key):
                await obstore.put_async(self._store, key, source, max_concurrency=PARTS_AT_ONCE)
        except (NotFound, Unavailable):
            if source.fault:  # and then the upload could not be aborted
                raise source.fault from None
            raise

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


class _Source(AsyncIterator[bytes]):
    """The pieces of an upload, which can be stopped while the next one is awaited, and what they failed with."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._next: asyncio.Future[bytes] | None = None
        self._stopped = False
        self.fault: Exception | None = None

    async def __anext__(self) -> bytes:
        self._next = asyncio.ensure_future(anext(self._pieces))
        if self._stopped:
            self.stop()
        try:
            return await self._next
        except asyncio.CancelledError:
            self.fault = InterruptedError("the upload was stopped")
            raise self.fault from None
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.fault = error
            raise

    def stop(self) -> None:
        """Makes the pieces end in a fault."""
        self._stopped = True
        if self._next:
            self._next.cancel()


def _s3(settings: Settings) -> S3Store:
    """What a setting leaves open, obstore takes from AWS_… variables or the machine's role."""
    given = {
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": settings.s3_secret_access_key.get_secret_value(),
    }
    config = cast("S3Config", {name: value for name, value in given.items() if value})
    config["disable_bulk_delete"] = True  # one blob at a time is deleted, and not every store knows the other call
    client: ClientConfig = {**CLIENT, "allow_http": settings.s3_allow_http}
    return S3Store.from_url(settings.blobs, config=config, client_options=client, retry_config=RETRIES)


@contextmanager
def _reported(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"no bytes are kept under {key}") from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unavailable(
            "the blob store refuses this service's credentials, or their rights are too few"
        ) from error
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
