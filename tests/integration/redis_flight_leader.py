"""An instance that leads a flight and never ends it: started by a test, which kills it."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ragmesh.storage.redis import RedisLink
from svc_query.events import AnswerEvent, Token
from svc_query.redis_flights import RedisFlights


async def endless() -> AsyncGenerator[AnswerEvent, None]:
    yield Token("so far")
    await asyncio.Event().wait()


async def main(url: str, key: str) -> None:
    async with RedisLink(url) as redis:
        flights = RedisFlights(redis)
        async with aclosing(flights.join(key, endless)) as events:
            async for _ in events:
                print("told", flush=True)  # noqa: T201 the test waits for it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
