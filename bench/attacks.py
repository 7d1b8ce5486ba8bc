"""`python -m bench.attacks KIND URL SECONDS CONNECTIONS PATH`: what careless and hostile clients do to an edge.

A process of its own, so that what others see is not its own work. It prints what the edge said:
{"HTTP/1.1 400": 12, "closed": 3, …}. Bounded in time and number, and only against this machine.
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop

A_SECOND = 200  # connections that are opened: this is no flood, which nothing of this kind withstands
SOURCE_PORTS = 8_000  # connections from one address of the loopback network
ANSWER_WITHIN_S = 2.0
DRIP_EVERY_S = 1.0
HUGE_BYTES = (16_384, 262_144, 4_194_304)
FRAGMENTS = (
    b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    b"POST /v1/collections HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    b"POST /v1/collections HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST /v1/models HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    b"GET http://elsewhere/ HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\n\r\n",
)


@dataclass(slots=True)
class Target:
    """What is attacked, for how long, and what it said."""

    host: str
    port: int
    seconds: float
    connections: int
    path: str  # what is asked for, where something is
    heard: Counter[str] = field(default_factory=Counter[str])
    began: float = field(default_factory=time.monotonic)
    opened: int = 0

    @property
    def left_s(self) -> float:
        """The time that is left."""
        return self.began + self.seconds - time.monotonic()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from one of many addresses, for each has so many ports."""
        source = f"127.0.1.{1 + self.opened // SOURCE_PORTS}"
        self.opened += 1
        return await asyncio.open_connection(self.host, self.port, local_addr=(source, 0), limit=4096)

    def hear(self, answer: bytes) -> None:
        """Counts what came back."""
        self.heard[answer[:12].decode(errors="replace") if answer else "closed"] += 1

    async def each_in_turn(self) -> AsyncIterator[int]:
        """Numbers, so many a second, until the time is over."""
        number = 0
        while self.left_s > 0:
            yield number
            number += 1
            due = self.began + number / A_SECOND
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)


async def garbage(target: Target) -> None:
    """Bytes that are nearly requests, or not at all; each connection its own, from one seed."""
    dice = random.Random(7)  # noqa: S311 it has to be the same each time
    async with asyncio.TaskGroup() as group:
        async for _ in target.each_in_turn():
            group.create_task(_say(target, _mutated(dice)))


async def huge_headers(target: Target) -> None:
    """Heads that do not end, or not soon."""
    async with asyncio.TaskGroup() as group:
        async for number in target.each_in_turn():
            size = HUGE_BYTES[number % len(HUGE_BYTES)] if number % 10 == 0 else HUGE_BYTES[0]
            line = b"X-A: " + b"a" * size if number % 2 else b"X-B: b\r\n" * (size // 8)
            group.create_task(_say(target, b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\n" + line + b"\r\n\r\n"))


async def slow_loris(target: Target) -> None:
    """Heads that come a byte a second, on as many connections as may be held."""
    head = f"GET {target.path} HTTP/1.1\r\nHost: [::1]\r\nX-Slow: ".encode()
    await _hold(target, head, drip=b"a")


async def idle_streams(target: Target) -> None:
    """Streams of events that nothing happens on."""
    await _hold(target, f"GET {target.path} HTTP/1.1\r\nHost: [::1]\r\nAccept: text/event-stream\r\n\r\n".encode())


async def half_uploads(target: Target) -> None:
    """Uploads that stop after their first piece; every other one breaks off."""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/octet-stream\r\n"
        "Content-Length: 10000000\r\n\r\n"
    )
    await _hold(target, head.encode() + b"half an upload " * 4096)


KINDS: Mapping[str, Callable[[Target], Awaitable[None]]] = {
    "garbage": garbage,
    "huge-headers": huge_headers,
    "slow-loris": slow_loris,
    "idle-streams": idle_streams,
    "half-uploads": half_uploads,
}


async def _hold(target: Target, first: bytes, drip: bytes = b"") -> None:
    """Opens all connections, one after the other, and leaves them so, unless the edge ends them before."""
    held_s = target.seconds - target.connections / A_SECOND
    async with asyncio.TaskGroup() as group:
        async for number in target.each_in_turn():
            if number >= target.connections:
                break
            group.create_task(_held(target, first, drip, time.monotonic() + held_s))


async def _held(target: Target, first: bytes, drip: bytes, until: float) -> None:
    try:
        reader, writer = await target.connect()
    except OSError:
        target.heard["refused"] += 1
        return
    heard = b""
    with suppress(OSError):
        writer.write(first)
        while (left_s := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(DRIP_EVERY_S, left_s) if drip else left_s):
                    some = await reader.read(4096)
                    heard = heard or some
                    if not some:
                        break
            if drip:
                writer.write(drip)
    target.hear(heard)
    writer.transport.abort()


async def _say(target: Target, words: bytes) -> None:
    """Says something on a connection of its own, and hears what the edge says to it."""
    heard = b""
    try:
        reader, writer = await target.connect()
    except OSError:
        target.heard["refused"] += 1
        return
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_WITHIN_S):
            writer.write(words)
            heard = await reader.read(4096)
    target.hear(heard)
    writer.transport.abort()


def _mutated(dice: random.Random) -> bytes:
    words = bytearray(dice.choice(FRAGMENTS))
    for _ in range(dice.randrange(6)):
        at = dice.randrange(len(words))
        match dice.randrange(4):
            case 0:
                words[at] = dice.randrange(256)
            case 1:
                words[at:at] = dice.randbytes(dice.randrange(1, 64))
            case 2:
                del words[at : at + dice.randrange(1, 16)]
                words = words or bytearray(b"\0")
            case _:
                words += words[:at]
    return bytes(words)


async def main(kind: str, url: str, seconds: float, connections: int, path: str) -> None:
    """Attacks, and prints what came back."""
    place = urlsplit(url)
    target = Target(str(place.hostname), place.port or 80, seconds, connections, path)
    if not target.host.startswith("127."):
        sys.exit("only this machine is attacked")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    await KINDS[kind](target)
    print(json.dumps(target.heard))


if __name__ == "__main__":
    _, _kind, _url, _seconds, _connections, _path = sys.argv
    uvloop.run(main(_kind, _url, float(_seconds), int(_connections), _path))
