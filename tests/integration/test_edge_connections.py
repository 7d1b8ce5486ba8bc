"""Connections to the edge as hostile and careless clients use them. Raw sockets against the real process."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.edge import scripted_services
from tests.integration.test_edge_process import a_gateway

ASK = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
UPLOAD = (
    b"POST /v1/collections/c/documents?name=a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n"
)
WITHIN_S = 10


@asynccontextmanager
async def an_edge_process(**settings: str):
    """The address of an edge with these settings."""
    environment = {f"RAGMESH_{name.upper()}": value for name, value in settings.items()}
    async with scripted_services() as (address, _), a_gateway(address, **environment) as (_, url):
        host, port = url.removeprefix("http://").split(":")
        yield host, int(port)


async def answer_to(place: tuple[str, int], *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes back until the edge closes the connection."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(WITHIN_S):
            return await reader.read()
    finally:
        writer.close()


async def test_a_head_that_never_ends_is_given_up_in_its_time_and_so_is_silence():
    async with an_edge_process(head_timeout_s="0.3") as place:
        silent, slow, piecewise = await asyncio.gather(
            answer_to(place),
            answer_to(place, ASK[:-2]),
            answer_to(place, *(ASK[at : at + 1] for at in range(12)), pause_s=0.02),
        )

    assert {each.split(b"\r\n")[0] for each in (silent, slow, piecewise)} == {b"HTTP/1.1 408 Request Timeout"}


async def test_a_head_that_never_ends_is_given_up_on_a_connection_that_was_good_before():
    async with an_edge_process(head_timeout_s="0.3") as place:
        said = await answer_to(place, ASK, ASK[:20], pause_s=0.1)

    assert said.count(b"HTTP/1.1 ") == 2
    assert said.index(b"200 OK") < said.index(b"408 Request Timeout")


async def test_an_idle_connection_is_closed_without_a_word():
    async with an_edge_process(idle_timeout_s="0.3") as place:
        said = await answer_to(place, ASK)

    assert said.count(b"HTTP/1.1 ") == 1
    assert b"200 OK" in said


async def test_one_connection_too_many_is_told_so_and_the_others_are_served_on():
    async with an_edge_process(connections_max="2") as place:
        held = [await asyncio.open_connection(*place) for _ in range(2)]
        await ask(*held[0])
        refused = await answer_to(place, ASK)
        served = await ask(*held[1])
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(WITHIN_S):
            while b"200 OK" not in await answer_to(place, ASK.replace(b"edge", b"edge\r\nConnection: close")):
                pass

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in refused
    assert b"200 OK" in served


async def test_uploads_that_stall_are_given_up_in_their_time_and_leave_their_places():
    async with an_edge_process(body_slow_s="0.4", uploads_max="4") as place:
        stalled = await asyncio.gather(*(answer_to(place, UPLOAD % 9000 + b"half") for _ in range(4)))
        whole = await answer_to(place, UPLOAD % 3 + b"tea")

    assert {each.split(b"\r\n")[0] for each in stalled} == {b"HTTP/1.1 408 Request Timeout"}
    assert whole.startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200), b"400"),  # TLS
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request_is_told_so_as_a_problem(an_edge_for_all, sent, status):
    said = await answer_to(an_edge_for_all, sent)

    assert said.startswith(b"HTTP/1.0 " + status), said
    assert b"application/problem+json" in said


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The head of an answer, the connection left open."""
    writer.write(ASK)
    async with asyncio.timeout(WITHIN_S):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")
        return head


@pytest.fixture(scope="module")
async def an_edge_for_all():
    async with an_edge_process() as place:
        yield place
