"""The routes that speak as OpenAI's API does."""

import base64
from typing import Any

import numpy as np
from aiohttp import web

from gateway.bodies import read, respond
from gateway.calls import services
from gateway.models import EmbeddingsBody
from gateway.openapi import Operation, documented
from ragmesh.errors import Unimplemented
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import EmbedRequest, EmbedResponse, EmbedRole, ListCollectionsRequest, ListModelsRequest, ModelRole

routes = web.RouteTableDef()


@routes.post("/v1/embeddings")
@documented(Operation("Vectors, in OpenAI's shape", body=EmbeddingsBody))
async def embeddings(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, EmbeddingsBody)
    texts = [body.input] if isinstance(body.input, str) else body.input
    with translated():
        embedded = await mesh.query.embed(
            EmbedRequest(texts=texts, role=EmbedRole.PASSAGE), **outgoing(mesh.settings.call_timeout_s)
        )
    vectors = _split(embedded)
    return respond(
        {
            "object": "list",
            "model": embedded.model,
            "data": [
                {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": embedded.prompt_tokens, "total_tokens": embedded.prompt_tokens},
        }
    )


@routes.get("/v1/models")
@documented(Operation("What can be named as a model: each collection, and the embedder"))
async def models(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        collections = await mesh.documents.list_collections(
            ListCollectionsRequest(page_size=1000), **outgoing(mesh.settings.call_timeout_s)
        )
        known = await mesh.admin.list_models(ListModelsRequest(), **outgoing(mesh.settings.call_timeout_s))
    names = [f"ragmesh/{collection.name}" for collection in collections.collections]
    names += [model.weights for model in known.models if model.role is ModelRole.EMBED]
    listed = [{"id": name, "object": "model", "owned_by": "ragmesh"} for name in names]
    return respond({"object": "list", "data": listed})


@routes.post("/v1/chat/completions")
@documented(Operation("Not in this version: use /v1/collections/{collection}/answer", status=501))
async def chat_completions(request: web.Request) -> web.Response:
    raise Unimplemented("this version has no chat completions yet: use /v1/collections/{collection}/answer")


def _split(embedded: EmbedResponse) -> list[bytes]:
    width = embedded.dims * 4
    return [embedded.vectors[start : start + width] for start in range(0, len(embedded.vectors), width)]


def _encoded(vector: bytes, encoding_format: str) -> Any:
    if encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return np.frombuffer(vector, "<f4").tolist()
