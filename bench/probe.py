"""`python -m bench.probe NAME=WHERE…`: asks each for its health, ten times a second, until its input is closed.

WHERE is host:port of a gRPC server, or the URL of a page. It is a process of its own, so that a load beside it does
not delay it, and prints {NAME: [seconds, …]}. One that does not answer well counts as the whole time-out.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import uvloop

from ragmesh import settings as configuration
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.health import SERVING, ask_health

EVERY_S = 0.1
WITHIN_S = 5.0
OK = 200

Ask = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def probing(targets: Mapping[str, str]) -> AsyncIterator[dict[str, list[float]]]:
    """Probes from a process of its own inside the block; the seconds that each answer took are there after it."""
    seconds: dict[str, list[float]] = {}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.probe", *(f"{name}={where}" for name, where in targets.items())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield seconds
    finally:
        printed, _ = await process.communicate(b"")  # closes its input
    seconds.update(json.loads(printed))


async def main(targets: Sequence[str]) -> None:
    """Probes all of them at once."""
    async with aiohttp.ClientSession() as http:
        asks = {name: _ask(where, http) for name, _, where in (target.partition("=") for target in targets)}
        seconds: dict[str, list[float]] = {name: [] for name in asks}
        probes = [asyncio.create_task(_probe(ask, seconds[name])) for name, ask in asks.items()]
        await asyncio.to_thread(sys.stdin.read)
        for probe in probes:
            probe.cancel()
        await asyncio.wait(probes)
    print(json.dumps(seconds))


def _ask(where: str, http: aiohttp.ClientSession) -> Ask:
    if where.startswith("http"):

        async def page() -> bool:
            async with http.get(where) as response:
                return response.status == OK

        return page
    channel = open_channel(configuration.load(), where)

    async def server() -> bool:
        return await ask_health(channel, WITHIN_S) == SERVING

    return server


async def _probe(ask: Ask, seconds: list[float]) -> None:
    while True:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(WITHIN_S):
                good = await ask()
        except (TimeoutError, aiohttp.ClientError):
            good = False
        took_s = time.perf_counter() - began
        seconds.append(took_s if good else WITHIN_S)
        await asyncio.sleep(max(0.0, EVERY_S - took_s))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
