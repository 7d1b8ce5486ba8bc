"""The edge asks who calls: where a credential may stand, what each route needs, and what a refusal looks like."""

import pytest
from aiohttp import web

from gateway.access import NOTHING, declared
from gateway.caller import caller
from gateway.openapi import OPERATION, Operation, documented
from ragmesh.access import Identity, Scope
from ragmesh.errors import Unauthenticated
from ragmesh.rpc.auth.credentials import Credentials
from tests.edge import an_edge

CALLERS = {
    "rm_read": Identity("acme", frozenset({Scope.READ}), "r"),
    "rm_write": Identity("acme", frozenset({Scope.WRITE}), "w"),
    "rm_admin": Identity("acme", frozenset({Scope.ADMIN}), "a"),
}
OPEN_ROUTES = {"/", "/favicon.ico", "/docs", "/openapi.json", "/healthz", "/readyz"}


async def check_key(key: str) -> Identity:
    if key not in CALLERS:
        raise Unauthenticated("the API key is not known")
    return CALLERS[key]


@pytest.fixture
async def closed():
    """An edge that asks for keys."""
    async with an_edge(Credentials(check_key, None, cache_s=10)) as running:
        yield running


@pytest.fixture
async def routes():
    async with an_edge() as edge:
        yield list(edge.client.server.app.router.routes())


async def test_every_route_says_what_it_needs(routes):
    silent = [f"{route.method} {route.resource.canonical}" for route in routes if declared(route) is None]

    assert silent == []


async def test_only_pages_and_health_need_nothing_and_only_admins_see_the_mesh(routes):
    by_path = {route.resource.canonical: declared(route) for route in routes if route.resource}
    files = {path for path in by_path if path.startswith("/web/")}

    assert {path for path, need in by_path.items() if need == NOTHING} - files == OPEN_ROUTES
    assert all(need is Scope.ADMIN for path, need in by_path.items() if path.startswith("/v1/admin/"))


async def test_reading_needs_no_more_than_read_and_changing_needs_more(routes):
    for route in routes:
        need, method, path = declared(route), route.method, route.resource.canonical
        if need == NOTHING or path.startswith("/v1/admin/") or path == "/metrics":
            continue
        changes = method == "DELETE" or (
            method == "POST" and path.endswith(("collections", "documents", "reprocess"))
        )
        assert need is (Scope.WRITE if changes else Scope.READ), f"{method} {path}"


async def test_the_description_tells_what_each_route_needs(routes):
    async with an_edge() as edge:
        _, api = await edge.json("GET", "/openapi.json")

    assert api["components"]["securitySchemes"].keys() == {"bearer", "key"}
    assert api["paths"]["/v1/admin/mesh"]["get"]["security"] == [{"bearer": ["admin"]}, {"key": ["admin"]}]
    assert "security" not in api["paths"]["/healthz"]["get"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer rm_read"}, 200),
        ({"Authorization": "bearer   rm_read"}, 200),
        ({"X-API-Key": "rm_read"}, 200),
        ({"X-API-Key": "rm_read", "Authorization": "Bearer rm_read"}, 200),
        ({"X-API-Key": "rm_read", "Authorization": "Bearer rm_write"}, 400),
        ({"Authorization": "Bearer rm_wrong"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic cm1fcmVhZA=="}, 401),
        ({"Authorization": "Bearer rm_write"}, 403),
        ({"ragmesh-tenant": "acme"}, 401),
    ],
    ids=str,
)
async def test_a_credential_stands_in_one_of_two_headers(closed, headers, status):
    async with closed.client.get("/v1/collections", headers=headers) as response:
        assert response.status == status, await response.text()
        asks = response.headers.get("WWW-Authenticate", "")

    assert asks.startswith("Bearer") == (status in {401, 403})
    assert ("insufficient_scope" in asks) == (status == 403)


@pytest.mark.parametrize("name", ["key", "api_key", "access_token"])
async def test_a_key_in_the_address_is_refused_with_the_reason_wherever_it_is_sent(closed, edge, name):
    for one in (closed, edge):
        for path in ("/v1/collections", "/healthz"):
            async with one.client.get(f"{path}?{name}=rm_read") as response:
                assert response.status == 400
                assert "logs" in (await response.json())["detail"]


async def test_openai_s_clients_get_openai_s_error(closed):
    async with closed.client.get("/v1/models") as response:
        assert response.status == 401
        assert "no credential" in (await response.json())["error"]["message"]


async def test_pages_and_health_need_no_credential(closed):
    for path in sorted(OPEN_ROUTES):
        async with closed.client.get(path) as response:
            assert response.status not in {401, 403}, path


async def test_a_route_that_is_not_there_is_no_secret(closed):
    async with closed.client.get("/v1/nowhere") as response:
        assert response.status == 404


async def test_a_forgotten_route_is_for_admins():
    async def forgotten(request: web.Request) -> web.Response:
        return web.json_response(caller(request).subject)

    @documented(Operation("says nothing of its needs"))
    async def silent(request: web.Request) -> web.Response:
        return await forgotten(request)

    assert hasattr(silent, OPERATION)
    async with an_edge(
        Credentials(check_key, None, cache_s=10), extra={"/forgotten": forgotten, "/silent": silent}
    ) as edge:
        for path in ("/forgotten", "/silent"):
            assert [await _status(edge, path, key) for key in CALLERS] == [403, 403, 200]


async def _status(edge, path: str, key: str) -> int:
    async with edge.client.get(path, headers={"X-API-Key": key}) as response:
        return response.status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "localhost:8080", "Origin": "http://localhost:8080"}, 200),
        ({"Host": "rebound.example:8080"}, 403),
        ({"Host": "localhost:99999999"}, 400),
        ({"Host": "[::1]:x"}, 400),
        ({"Host": "["}, 403),
        ({"Host": "rebound.example:8080", "Origin": "http://rebound.example:8080"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://ours.example"}, 200),
    ],
)
async def test_an_open_mesh_answers_this_machine_and_no_page_of_others(headers, status):
    async with (
        an_edge(cors_origins="https://ours.example") as edge,
        edge.client.get("/v1/collections", headers=headers) as response,
    ):
        assert response.status == status, await response.text()


async def test_who_waits_for_a_document_must_be_allowed_to_read_it_before_it_is_kept(closed):
    headers = {"X-API-Key": "rm_write", "Content-Type": "application/octet-stream"}
    path = "/v1/collections/c/documents?name=a.txt"

    async with closed.client.post(f"{path}&wait=true", data=b"tea", headers=headers) as refused:
        assert refused.status == 403
    assert closed.documents.received == []
    async with closed.client.post(path, data=b"tea", headers=headers) as taken:
        assert taken.status == 202
