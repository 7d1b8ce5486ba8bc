"""The routes that speak as OpenAI's API does."""

import base64
from collections.abc import AsyncIterator
from datetime import datetime

import numpy as np
from aiohttp import web

from gateway import shapes
from gateway.bodies import read, respond
from gateway.calls import Services, services
from gateway.limits import reserve, spent, tokens_of
from gateway.models import EmbeddingsBody
from gateway.openapi import Operation, documented
from gateway.paging import PAGE_SIZE_MAX
from ragmesh.errors import Unimplemented
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    Collection,
    EmbedRequest,
    EmbedResponse,
    EmbedRole,
    ListCollectionsRequest,
    ListModelsRequest,
    ModelRole,
)

routes = web.RouteTableDef()


@routes.post("/v1/embeddings")
@documented(Operation("Vectors, in OpenAI's shape", shapes.OpenAIEmbeddings, body=EmbeddingsBody))
async def embeddings(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, EmbeddingsBody)
    texts = [body.input] if isinstance(body.input, str) else body.input
    await reserve(request, tokens_of(*texts))
    with translated():
        embedded = await mesh.query.embed(
            EmbedRequest(texts=texts, role=EmbedRole.PASSAGE), **outgoing(mesh.settings.call_timeout_s)
        )
    vectors: list[shapes.OpenAIEmbedding] = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
        for index, vector in enumerate(_split(embedded))
    ]
    tokens = embedded.prompt_tokens
    spent(request, tokens)
    return respond(
        shapes.OpenAIEmbeddings(
            object="list",
            model=embedded.model,
            data=vectors,
            usage={"prompt_tokens": tokens, "total_tokens": tokens},
        )
    )


@routes.get("/v1/models")
@documented(Operation("What can be named as a model: each collection, and the embedder", shapes.OpenAIModels))
async def models(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        listed = [
            _model(f"ragmesh/{collection.name}", collection.created_at) async for collection in _collections(mesh)
        ]
        known = await mesh.admin.list_models(ListModelsRequest(), **outgoing(mesh.settings.call_timeout_s))
    listed += [_model(model.weights) for model in known.models if model.role is ModelRole.EMBED]
    return respond(shapes.OpenAIModels(object="list", data=listed))


@routes.post("/v1/chat/completions")
@documented(Operation("Not in this version: use /v1/collections/{collection}/answer", status=501))
async def chat_completions(request: web.Request) -> web.Response:
    raise Unimplemented("this version has no chat completions yet: use /v1/collections/{collection}/answer")


async def _collections(mesh: Services) -> AsyncIterator[Collection]:
    """All of them, page after page: OpenAI's list has no pages."""
    token = ""
    while True:
        page = await mesh.documents.list_collections(
            ListCollectionsRequest(page_size=PAGE_SIZE_MAX, page_token=token),
            **outgoing(mesh.settings.call_timeout_s),
        )
        for collection in page.collections:
            yield collection
        if not (token := page.next_page_token):
            return


def _model(name: str, created_at: datetime | None = None) -> shapes.OpenAIModel:
    created = int(created_at.timestamp()) if created_at else 0  # Triton does not say since when it has a model
    return {"id": name, "object": "model", "created": created, "owned_by": "ragmesh"}


def _split(embedded: EmbedResponse) -> list[bytes]:
    width = embedded.dims * 4
    return [embedded.vectors[start : start + width] for start in range(0, len(embedded.vectors), width)]


def _encoded(vector: bytes, encoding_format: str) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return np.frombuffer(vector, "<f4").tolist()
