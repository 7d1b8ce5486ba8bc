"""Vectors in OpenAI's shape: /v1/embeddings; and what there is not yet: /v1/rerank."""

import base64

import numpy as np
from aiohttp import web

from gateway.bodies import respond
from gateway.calls import services
from gateway.limits import reserve, spent, tokens_of
from gateway.openai import shapes
from gateway.openai.bodies import EmbeddingsBody, read_openai
from gateway.openai.names import unknown
from gateway.openapi import Operation, documented
from ragmesh.access import Scope
from ragmesh.errors import InvalidArgument, Unimplemented
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import EmbedRequest, EmbedResponse, EmbedRole

routes = web.RouteTableDef()

TEXTS_MAX = 256  # of an EmbedRequest


@routes.post("/v1/embeddings")
@documented(Operation("Vectors, in OpenAI's shape", shapes.Embeddings, body=EmbeddingsBody, needs=Scope.READ))
async def embeddings(request: web.Request) -> web.Response:
    mesh, body = services(request), await read_openai(request, EmbeddingsBody)
    texts = _texts(body)
    await reserve(request, tokens_of(*texts))
    with translated():
        embedded = await mesh.query.embed(
            EmbedRequest(texts=texts, role=EmbedRole.PASSAGE), **outgoing(mesh.settings.call_timeout_s)
        )
    _check(body, embedded)
    vectors: list[shapes.Embedding] = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
        for index, vector in enumerate(_split(embedded))
    ]
    tokens = embedded.prompt_tokens
    spent(request, tokens)
    return respond(
        shapes.Embeddings(
            object="list",
            model=embedded.model,
            data=vectors,
            usage={"prompt_tokens": tokens, "total_tokens": tokens},
        )
    )


@routes.post("/v1/rerank")
@documented(Operation("Not in this version: no reranking model is loaded", status=501, needs=Scope.READ))
async def rerank(request: web.Request) -> web.Response:
    raise Unimplemented("this version has no reranking model yet: searches order by fused scores")


def _texts(body: EmbeddingsBody) -> list[str]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not 1 <= len(texts) <= TEXTS_MAX or not all(text.strip() for text in texts):
        raise InvalidArgument(f"input is a text, or 1 to {TEXTS_MAX} of them; none of them empty", field="input")
    return texts


def _check(body: EmbeddingsBody, embedded: EmbedResponse) -> None:
    """Raises NotFound, InvalidArgument where other vectors are wanted than this mesh makes."""
    weights = embedded.model.rpartition("/")[0]
    if body.model not in ("", weights, embedded.model):
        raise unknown(body.model, f"{weights} makes vectors")
    if body.dimensions not in (None, embedded.dims):
        raise InvalidArgument(
            f"{weights} makes vectors of {embedded.dims} dimensions only: leave dimensions out", field="dimensions"
        )


def _split(embedded: EmbedResponse) -> list[bytes]:
    width = embedded.dims * 4
    return [embedded.vectors[start : start + width] for start in range(0, len(embedded.vectors), width)]


def _encoded(vector: bytes, encoding_format: str | None) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return np.frombuffer(vector, "<f4").tolist()
