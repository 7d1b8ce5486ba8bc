"""The mesh as the bench meets it: HTTP and SSE, like any client."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from bench.corpus import Passage
from ragmesh.edge_headers import edge_headers
from ragmesh.settings import Settings

READY_POLL_S = 0.05
UNFINISHED = ("QUEUED", "PROCESSING")


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer as it arrived."""

    first_token_s: float
    seconds: float
    tokens: int
    prompt_tokens: int
    sources: Sequence[dict[str, Any]]
    text: str
    done: dict[str, Any]  # finish_reason, citations, timings


class Edge:
    """A client of the gateway."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator[Self]:
        """Connects to the edge of a mesh, open or not."""
        headers = await edge_headers(settings, "bench")
        async with cls.at(f"http://{settings.host}:{settings.port}", headers) as edge:
            yield edge

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Self]:
        """Connects to the edge at `url`, without a limit on connections."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            yield cls(url, session)

    async def json(self, method: str, path: str, **kwargs: Any) -> Any:
        """The JSON answer of a route. Raises aiohttp.ClientResponseError on any error."""
        async with self._session.request(method, self._url + path, **kwargs) as response:
            response.raise_for_status()
            return await response.json() if response.content_type == "application/json" else None

    async def add(self, collection: str, passage: Passage) -> None:
        """Uploads a passage. It is kept when this returns, and READY later."""
        await self.json(
            "POST",
            f"/v1/collections/{collection}/documents?name={quote(passage.id)}.txt",
            data=passage.text.encode(),
            headers={"Content-Type": "application/octet-stream"},
        )

    async def add_all(self, collection: str, passages: Sequence[Passage], clients: int = 16) -> int:
        """Creates a collection of these passages; returns the number of its chunks once all are READY."""
        await self.json("POST", "/v1/collections", json={"name": collection})
        slots = asyncio.Semaphore(clients)

        async def add(passage: Passage) -> None:
            async with slots:
                await self.add(collection, passage)

        await asyncio.gather(*map(add, passages))
        while any([await self._has(collection, state) for state in UNFINISHED]):  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(READY_POLL_S)
        if await self._has(collection, "FAILED"):
            raise RuntimeError(f"documents of {collection} have failed")
        return (await self.json("GET", f"/v1/collections/{collection}"))["chunk_count"]

    async def _has(self, collection: str, state: str) -> bool:
        path = f"/v1/collections/{collection}/documents?page_size=1&state={state}"
        return bool((await self.json("GET", path))["documents"])

    async def remove(self, collection: str) -> None:
        """Deletes a collection."""
        await self.json("DELETE", f"/v1/collections/{collection}")

    async def search(self, collection: str, query: str, **options: Any) -> list[dict[str, Any]]:
        """The results of a search."""
        body = {"query": query, **options}
        return (await self.json("POST", f"/v1/collections/{collection}/search", json=body))["results"]

    async def answer(self, collection: str, question: str, **options: Any) -> Streamed:
        """A streamed answer, timed from the request to its first token and its end."""
        began, first, tokens, text = time.perf_counter(), 0.0, 0, ""
        usage, sources, done = {}, [], {}
        body = {"question": question, "stream": True, **options}
        path = f"{self._url}/v1/collections/{collection}/answer"
        async with self._session.post(path, json=body) as response:
            response.raise_for_status()
            async for event, data in _events(response.content):
                match event:
                    case "sources":
                        sources = data["citations"]
                    case "token":
                        first = first or time.perf_counter() - began
                        tokens += 1
                        text += data["text"]
                    case "usage":
                        usage = data
                    case "done":
                        done = data
                    case "error":
                        raise RuntimeError(data)
                    case _:
                        pass
        return Streamed(
            first_token_s=first,
            seconds=time.perf_counter() - began,
            tokens=usage.get("completion_tokens", tokens),
            prompt_tokens=usage.get("prompt_tokens", 0),
            sources=sources,
            text=text,
            done=done,
        )


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, Any]]:
    event = ""
    async for raw in stream:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
