"""The promise of `ragmesh.storage.blobs.Blobs`, kept by every adapter."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from obstore.store import MemoryStore

from ragmesh.errors import InvalidArgument, NotFound
from ragmesh.settings import Settings
from ragmesh.storage.blobs import Blobs, ObjectBlobs
from tests.documents import until
from tests.s3_bucket import make_bucket, s3_settings
from tests.servers import Server


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def pieces(*content: bytes | Exception) -> AsyncIterator[bytes]:
    for piece in content:
        if isinstance(piece, Exception):
            raise piece
        yield piece


async def content(blobs: Blobs, key: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in blobs.read(key, offset=offset)])


async def keys(blobs: Blobs, older_than_s: float = 0) -> list[str]:
    return sorted([key async for some in blobs.keys(older_than_s=older_than_s) for key in some])


@pytest_asyncio.fixture(params=["file", "memory", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path, s3: Server) -> Blobs:
    if request.param == "memory":
        return ObjectBlobs(MemoryStore(), None)
    if request.param == "file":
        return ObjectBlobs.of(Settings(blobs_url=f"file://{tmp_path}/with%20space"))
    return ObjectBlobs.of(s3_settings(s3, await make_bucket(s3)))


async def test_what_is_written_is_read_again_from_any_offset(blobs: Blobs):
    whole = os.urandom(700_000)
    await blobs.write("a", pieces(whole[:300_000], whole[300_000:]))

    assert await content(blobs, "a") == whole
    assert await content(blobs, "a", 699_000) == whole[699_000:]
    assert await content(blobs, "a", 700_000) == b""
    async with blobs.local("a") as path:
        assert path.read_bytes() == whole


async def test_a_write_that_fails_leaves_nothing_and_raises_what_its_source_raised(blobs: Blobs):
    with pytest.raises(InvalidArgument, match="too odd"):
        await blobs.write("a", pieces(b"x" * 6_000_000, b"y" * 6_000_000, InvalidArgument("too odd")))

    assert await keys(blobs) == []


async def test_a_write_that_is_cancelled_leaves_nothing(blobs: Blobs, tmp_path: Path):
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(blobs.write("a", endless()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await keys(blobs) == []
    await until(lambda: not files(tmp_path))


async def test_a_missing_blob_is_not_found_and_as_good_as_deleted(blobs: Blobs):
    with pytest.raises(NotFound):
        await content(blobs, "a")
    with pytest.raises(NotFound):
        async with blobs.local("a"):
            pass
    await blobs.delete("a")


async def test_deleting_removes(blobs: Blobs):
    await blobs.write("a", pieces(b"1"))
    await blobs.write("b", pieces(b"2"))

    await blobs.delete("a")

    assert await keys(blobs) == ["b"]
    assert await keys(blobs, older_than_s=60) == []


async def test_what_a_killed_process_left_half_written_is_swept_once_it_is_old(tmp_path: Path):
    """Of files only: other stores show nothing that was not completed."""
    blobs = ObjectBlobs.of(Settings(blobs_url=f"file://{tmp_path}"))
    for name, age_s in (("old#1", 100), ("new#1", 0)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)

    assert await blobs.sweep(older_than_s=50) == 1

    assert files(tmp_path) == ["new#1"]
