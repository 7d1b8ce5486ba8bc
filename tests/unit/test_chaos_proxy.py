"""The proxy of the chaos runs does to a connection what it is told, and nothing when it is told nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from chaos.proxy import Proxy
from ragmesh.up.plan import free_ports

HOST = "127.0.0.1"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1000):
        writer.write(piece)
    writer.close()


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[Proxy, int]]:
    target, port = free_ports(2)
    async with await asyncio.start_server(echo, HOST, target), Proxy((HOST, port), (HOST, target)) as proxy:
        await proxy.listening()
        yield proxy, port


async def say(port: int, word: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(word)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_what_goes_in_comes_out_and_so_does_its_end(proxied):
    _, port = proxied

    assert await say(port, b"hello") == b"hello"


async def test_a_cut_ends_open_connections_and_new_ones_until_it_heals(proxied):
    proxy, port = proxied
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"

    proxy.cut()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(ConnectionError):
        await say(port, b"again")
    proxy.heal()
    await proxy.listening()
    assert await say(port, b"again") == b"again"


async def test_a_target_that_is_gone_refuses_connections_through_the_proxy_too(proxied):
    target, port = free_ports(2)
    async with Proxy((HOST, port), (HOST, target)) as proxy:
        async with await asyncio.start_server(echo, HOST, target):
            await proxy.listening()
        with suppress(ConnectionError):
            await say(port, b"it finds out")

        with pytest.raises(ConnectionError):
            await say(port, b"hello")


async def test_silence_holds_back_what_is_said_meanwhile(proxied):
    proxy, port = proxied
    proxy.silence()
    saying = asyncio.create_task(say(port, b"hello"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(saying), 0.1)
    proxy.heal()

    assert await saying == b"hello"


async def test_a_slow_network_delays_both_ways(proxied):
    proxy, port = proxied
    proxy.slow(0.05)
    began = asyncio.get_running_loop().time()

    assert await say(port, b"hello") == b"hello"
    assert asyncio.get_running_loop().time() - began >= 0.098  # uvloop tells milliseconds
