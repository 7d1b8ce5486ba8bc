"""Blobs in a store that speaks S3, where it differs from a folder: uploads in parts, and a network between."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from ragmesh.errors import InvalidArgument, Unavailable
from ragmesh.settings import Settings
from ragmesh.storage import blobs
from ragmesh.storage.blobs import ObjectBlobs
from ragmesh.up.plan import free_ports
from tests.s3_bucket import ACCESS, everything_in, make_bucket, s3_settings
from tests.servers import Server

PIECE = os.urandom(1 << 20)
PIECES = 12  # more than two parts


async def pieces(count: int = PIECES, then: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE
    if then:
        raise then


async def test_an_upload_in_parts_is_read_again_by_ranges(s3: Server):
    bucket = await make_bucket(s3)
    store = ObjectBlobs.of(s3_settings(s3, bucket))

    await store.write("large", pieces())

    tail = b"".join([piece async for piece in store.read("large", offset=(PIECES - 1) * len(PIECE))])
    assert tail == PIECE
    async with store.local("large") as path:
        assert path.read_bytes() == PIECE * PIECES
    assert await everything_in(s3, bucket) == ["pre/fix/large"]


@pytest.mark.parametrize("count", [0, 4, 5, PIECES])
async def test_an_upload_whose_source_fails_leaves_no_part_behind(s3: Server, count: int):
    bucket = await make_bucket(s3)
    store = ObjectBlobs.of(s3_settings(s3, bucket))

    with pytest.raises(InvalidArgument, match="too odd"):
        await store.write("broken", pieces(count, InvalidArgument("too odd")))

    assert await everything_in(s3, bucket) == []


async def test_a_cancelled_upload_leaves_no_part_behind(s3: Server):
    bucket = await make_bucket(s3)
    store = ObjectBlobs.of(s3_settings(s3, bucket))
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        async for piece in pieces():
            yield piece
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(store.write("stalled", stalls()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await everything_in(s3, bucket) == []


async def test_an_absent_store_is_unavailable_within_seconds():
    (port,) = free_ports(1)
    store = ObjectBlobs.of(Settings(blobs_url="s3://bucket", s3_endpoint=f"http://127.0.0.1:{port}", **ACCESS))
    began = time.perf_counter()

    for attempt in (store.write("a", pieces()), store.delete("a"), anext(store.read("a"))):
        with pytest.raises(Unavailable):
            await attempt

    assert time.perf_counter() - began < 6


async def test_a_store_that_hangs_is_unavailable_and_serves_when_it_is_back(
    s3: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(blobs.CLIENT, "read_timeout", "500ms")
    store = ObjectBlobs.of(s3_settings(s3, await make_bucket(s3)))
    await store.write("kept", pieces(1))

    s3.pause()
    try:
        with pytest.raises(Unavailable):
            await anext(store.read("kept"))
    finally:
        s3.resume()

    assert b"".join([piece async for piece in store.read("kept")]) == PIECE


async def test_wrong_credentials_are_told_without_the_secret(s3: Server):
    wrong = {**ACCESS, "s3_secret_access_key": "not the secret"}
    store = ObjectBlobs.of(Settings(blobs_url=f"s3://{await make_bucket(s3)}", s3_endpoint=s3.url, **wrong))

    with pytest.raises(Unavailable, match="refuses this service's credentials") as refused:
        await store.write("a", pieces(1))

    assert "not the secret" not in str(refused.value)
