"""What can be named as a model: /v1/models."""

from aiohttp import web

from gateway.bodies import respond
from gateway.calls import Services, services
from gateway.openai import shapes
from gateway.openai.names import collection_of, collections, is_ours, known, named, unknown
from gateway.openapi import Operation, documented
from ragmesh.access import Scope
from ragmesh.errors import NotFound
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import GetCollectionRequest, ModelRole

routes = web.RouteTableDef()

PLAIN = (ModelRole.LLM, ModelRole.EMBED)


@routes.get("/v1/models")
@documented(
    Operation(
        "What can be named as a model: collections, language model, embedder", shapes.ModelList, needs=Scope.READ
    )
)
async def models(request: web.Request) -> web.Response:
    mesh = services(request)
    listed = [*await collections(mesh), *await known(mesh, *PLAIN)]
    return respond(shapes.ModelList(object="list", data=listed))


@routes.get("/v1/models/{model:.+}")
@documented(Operation("One of them; its name may have a slash", shapes.NamedModel, needs=Scope.READ))
async def model(request: web.Request) -> web.Response:
    mesh, name = services(request), request.match_info["model"]
    if is_ours(name):
        return respond(await _collection(mesh, name))
    for one in await known(mesh, *PLAIN):
        if one["id"] == name:
            return respond(one)
    raise unknown(name, "names are as they are listed")


async def _collection(mesh: Services, name: str) -> shapes.NamedModel:
    wanted = GetCollectionRequest(name=collection_of(name))
    try:
        with translated():
            found = await mesh.documents.get_collection(wanted, **outgoing(mesh.settings.call_timeout_s))
    except NotFound:
        raise unknown(name, "there is no such collection") from None
    return named(name, found.created_at)
