"""Clients of the mesh, alike for the load: over HTTP as the edge's tenant, over gRPC as any other."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid4

import aiohttp

from chaos.ledger import Hit, Seen
from ragmesh.client import Client
from ragmesh.errors import AlreadyExists, MeshError, NotFound
from ragmesh.rpc.context import DEFAULT_TENANT
from ragmesh.settings import Settings
from ragmesh.v1 import Chunk, Condition, Document, Filter

TIMEOUT_S = 20.0  # of a call but an answer
ANSWER_TIMEOUT_S = 90.0
RETRIABLE = frozenset({429, 503, 504})
ANSWER_TOKENS = 8


class Refused(Exception):
    """A call that did not succeed."""

    def __init__(self, kind: str, detail: str = "", *, is_retriable: bool, after_s: float = 0.0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail  # in the mesh's words
        self.is_retriable = is_retriable
        self.after_s = after_s  # the mesh's own hint when to come back


class Missing(Refused):
    """There is no such document."""

    def __init__(self) -> None:
        super().__init__("NOT_FOUND", is_retriable=False)


class Session(Protocol):
    """What a tenant does. Every method raises Refused."""

    @property
    def tenant(self) -> str: ...

    async def create(self, collection: str) -> None: ...
    async def upload(self, collection: str, name: str, text: str) -> Seen: ...
    async def delete(self, document_id: str) -> None: ...
    async def reprocess(self, document_id: str) -> Seen: ...
    async def get(self, document_id: str) -> Seen: ...
    async def list_all(self, collection: str) -> list[Seen]: ...
    async def search(self, collection: str, query: str, *, top_k: int, within: str = "") -> list[Hit]: ...
    async def answer(self, collection: str, question: str) -> list[Hit]: ...


@dataclass(frozen=True, slots=True)
class EdgeSession:
    """The edge's tenant, over HTTP."""

    url: str
    http: aiohttp.ClientSession
    tenant: str = DEFAULT_TENANT

    async def create(self, collection: str) -> None:
        try:
            await self._call("POST", "/v1/collections", json={"name": collection})
        except Refused as refused:
            if "ALREADY_EXISTS" not in refused.kind:  # an earlier try came through
                raise

    async def upload(self, collection: str, name: str, text: str) -> Seen:
        return _seen_json(
            await self._call(
                "POST",
                f"/v1/collections/{collection}/documents?name={quote(name)}",
                data=text.encode(),
                headers={"Content-Type": "application/octet-stream"},
            )
        )

    async def delete(self, document_id: str) -> None:
        await self._call("DELETE", f"/v1/documents/{document_id}")

    async def reprocess(self, document_id: str) -> Seen:
        return _seen_json(await self._call("POST", f"/v1/documents/{document_id}/reprocess"))

    async def get(self, document_id: str) -> Seen:
        return _seen_json(await self._call("GET", f"/v1/documents/{document_id}"))

    async def list_all(self, collection: str) -> list[Seen]:
        listed: list[Seen] = []
        token = ""
        while True:
            page = await self._call(
                "GET", f"/v1/collections/{collection}/documents?page_size=100&page_token={quote(token)}"
            )
            listed += map(_seen_json, page["documents"])
            if not (token := page["next_page_token"]):
                return listed

    async def search(self, collection: str, query: str, *, top_k: int, within: str = "") -> list[Hit]:
        body = {"query": query, "top_k": top_k, "filter": {"document_id": within} if within else {}}
        found = await self._call("POST", f"/v1/collections/{collection}/search", json=body)
        return [_hit_json(result) for result in found["results"]]

    async def answer(self, collection: str, question: str) -> list[Hit]:
        body = {"question": question, "max_tokens": ANSWER_TOKENS}
        path = f"/v1/collections/{collection}/answer"
        answered = await self._call("POST", path, ANSWER_TIMEOUT_S, json=body)
        return [_hit_json(citation) for citation in answered["citations"]]

    async def _call(self, method: str, path: str, timeout_s: float = TIMEOUT_S, **kwargs: Any) -> Any:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self.http.request(method, self.url + path, timeout=timeout, **kwargs) as response:
                body = await response.json(content_type=None)
        except TimeoutError:
            raise Refused("HTTP time-out", is_retriable=True) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise Refused("HTTP connection lost", is_retriable=True) from error
        if response.ok:
            return body
        code = (body or {}).get("code", "")
        if code == "NOT_FOUND":
            raise Missing
        raise Refused(
            f"{response.status} {code}".strip(),
            (body or {}).get("detail", ""),
            is_retriable=response.status in RETRIABLE or code == "ABORTED",
            after_s=float(response.headers.get("Retry-After", 0)),
        )


def _seen_json(body: Any) -> Seen:
    reason = (body["error"] or {}).get("message", "")
    return Seen(body["id"], body["name"], body["state"], body["generation"], body["chunk_count"], reason)


def _hit_json(body: Any) -> Hit:
    return Hit(body["document_id"], body["chunk_id"], body["start"], body["text"])


@dataclass(frozen=True, slots=True)
class DirectSession:
    """Any tenant, over gRPC: the edge serves one tenant, the services many."""

    client: Client
    tenant: str
    scratch: Path

    async def create(self, collection: str) -> None:
        with _refusals():
            try:
                await self.client.create_collection(collection)
            except AlreadyExists:  # an earlier try came through
                return

    async def upload(self, collection: str, name: str, text: str) -> Seen:
        path = self.scratch / uuid4().hex  # an equal upload may be on its way
        await asyncio.to_thread(path.write_text, text)
        with _refusals():
            async with asyncio.timeout(TIMEOUT_S):
                return _seen(await self.client.add(path, collection=collection, name=name))

    async def delete(self, document_id: str) -> None:
        with _refusals():
            await self.client.delete(document_id)

    async def reprocess(self, document_id: str) -> Seen:
        with _refusals():
            return _seen(await self.client.reprocess(document_id))

    async def get(self, document_id: str) -> Seen:
        with _refusals():
            return _seen(await self.client.get(document_id))

    async def list_all(self, collection: str) -> list[Seen]:
        with _refusals():
            return [_seen(document) async for document in self.client.list(collection)]

    async def search(self, collection: str, query: str, *, top_k: int, within: str = "") -> list[Hit]:
        where = Filter(conditions=[Condition(field="document_id", equals=within)]) if within else None
        with _refusals():
            found = await self.client.search(query, collection=collection, top_k=top_k, where=where)
        return [_hit(result.chunk) for result in found.results if result.chunk]

    async def answer(self, collection: str, question: str) -> list[Hit]:
        cited: list[Hit] = []
        with _refusals():
            answering = self.client.answer(question, collection=collection, max_tokens=ANSWER_TOKENS)
            async for event in answering:
                if event.sources:
                    cited += [_hit(citation.chunk) for citation in event.sources.citations if citation.chunk]
        return cited


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise Missing from None
    except TimeoutError:
        raise Refused("gRPC time-out", is_retriable=True) from None
    except MeshError as error:
        raise Refused(
            f"gRPC {error.code}", error.message, is_retriable=error.retriable, after_s=error.retry_after_s or 0
        ) from error


def _seen(document: Document) -> Seen:
    reason = document.error.message if document.error else ""
    state = document.state.name or ""
    return Seen(document.id, document.name, state, document.generation, document.chunk_count, reason)


def _hit(chunk: Chunk) -> Hit:
    return Hit(chunk.document_id, chunk.chunk_id, chunk.start, chunk.text)


@asynccontextmanager
async def direct(settings: Settings, tenant: str) -> AsyncIterator[DirectSession]:
    """Connects a tenant to the services of a mesh."""
    with tempfile.TemporaryDirectory() as scratch:
        async with Client(settings, tenant=tenant, retries=0) as client:  # the journal counts each try
            yield DirectSession(client, tenant, Path(scratch))
