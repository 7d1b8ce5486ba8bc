"""API keys: /v1/admin/keys."""

from aiohttp import web

from gateway import messages, shapes
from gateway.bodies import read, respond
from gateway.calls import services
from gateway.models import KeyBody
from gateway.openapi import Operation, documented
from gateway.paging import page_of
from ragmesh.access import Scope
from ragmesh.rpc.auth.scopes import to_messages
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import CreateKeyRequest, ListKeysRequest, RevokeKeyRequest

routes = web.RouteTableDef()


@routes.post("/v1/admin/keys")
@documented(
    Operation(
        "Make an API key. The key itself is in this answer and nowhere else",
        shapes.MadeKey,
        body=KeyBody,
        status=201,
        needs=Scope.ADMIN,
    )
)
async def create(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, KeyBody)
    wanted = CreateKeyRequest(
        tenant=body.tenant,
        name=body.name,
        scopes=to_messages(body.scopes),
        expires_at=body.expires_at,
        requests_per_minute=body.requests_per_minute,
        tokens_per_minute=body.tokens_per_minute,
    )
    with translated():
        made = await mesh.admin.create_key(wanted, **outgoing(mesh.settings.call_timeout_s))
    return respond({**messages.key(made.key), "key": made.secret}, status=201)


@routes.get("/v1/admin/keys")
@documented(
    Operation(
        "API keys, newest first, without their secrets",
        shapes.KeyPage,
        query=("tenant", "page_size", "page_token"),
        needs=Scope.ADMIN,
    )
)
async def list_all(request: web.Request) -> web.Response:
    mesh, page = services(request), page_of(request)
    with translated():
        found = await mesh.admin.list_keys(
            ListKeysRequest(tenant=request.query.get("tenant", ""), page_size=page.size, page_token=page.token),
            **outgoing(mesh.settings.call_timeout_s),
        )
    keys = [messages.key(each) for each in found.keys]
    return respond(shapes.KeyPage(keys=keys, next_page_token=found.next_page_token))


@routes.delete("/v1/admin/keys/{key_id}")
@documented(Operation("End an API key", shapes.Key, needs=Scope.ADMIN))
async def revoke(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        ended = await mesh.admin.revoke_key(
            RevokeKeyRequest(id=request.match_info["key_id"]), **outgoing(mesh.settings.call_timeout_s)
        )
    return respond(messages.key(ended))
