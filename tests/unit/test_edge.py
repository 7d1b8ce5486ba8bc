"""Every route of the edge, and everything that may be wrong with a request."""

import asyncio
import base64
import io
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.filters import to_message
from gateway.models import SearchBody
from gateway.problem import STATUS
from ragmesh import errors
from ragmesh.v1 import DocumentState, Health
from tests.edge import FOUND

NESTED = b'{"messages": [{"role": "user", "content": "x", "x": 1}]}'
SIXTEEN = json.dumps({"query": "x", "filter": {f"metadata.{n}": "v" for n in range(17)}}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "shows"),
    [
        ("POST", "/v1/collections", {"name": "teas"}, 201, {"name": "teas", "created_at": "2026-01-02T12:00:00Z"}),
        ("GET", "/v1/collections/teas", None, 200, {"id": "c1", "name": "teas"}),
        ("GET", "/v1/collections", None, 200, {"next_page_token": "2"}),
        ("GET", "/v1/collections/c/documents", None, 200, {"next_page_token": "more"}),
        ("GET", "/v1/documents/d", None, 200, {"id": "d", "state": "READY", "error": None}),
        ("POST", "/v1/documents/d/reprocess", None, 202, {"state": "QUEUED", "generation": 2}),
        ("POST", "/v1/collections/c/suggestions", {"count": 1}, 200, {"questions": ["Which tea?"]}),
        ("GET", "/v1/admin/config", None, 200, {"revision": 0}),
        ("GET", "/v1/admin/dead-letters", None, 501, {"code": "UNIMPLEMENTED"}),
    ],
)
async def test_a_route_answers(edge, method, path, body, status, shows):
    response, answer = await edge.json(method, path, json=body)

    assert response.status == status
    assert {name: answer[name] for name in shows} == shows


@pytest.mark.parametrize("path", ["/v1/documents/d", "/v1/collections/c"])
async def test_what_is_deleted_leaves_no_content(edge, path):
    async with edge.client.delete(path) as response:
        assert (response.status, await response.read()) == (204, b"")

    assert len(edge.documents.asked) == 1


async def test_an_operator_sees_the_mesh(edge):
    _, mesh = await edge.json("GET", "/v1/admin/mesh")
    _, stats = await edge.json("GET", "/v1/admin/stats")
    _, models = await edge.json("GET", "/v1/admin/models")

    assert (mesh["instances"][0]["service"], mesh["backends"][1]["role"]) == ("query", "triton")
    assert stats["ingest"]["documents"] == {"READY": 3}
    assert (models["models"][0]["role"], models["models"][0]["state"]) == ("EMBED", "READY")


async def test_a_list_is_asked_for_as_the_caller_says(edge):
    await edge.json("GET", "/v1/collections/c/documents?page_size=7&page_token=t&state=FAILED")

    (asked,) = edge.documents.asked
    assert (asked.collection, asked.page_size, asked.page_token) == ("c", 7, "t")
    assert asked.state is DocumentState.FAILED


async def test_a_search_shows_passages_with_their_scores(edge):
    response, found = await edge.json("POST", "/v1/collections/c/search", json={"query": "tea", "top_k": 3})

    assert response.status == 200
    assert [(each["chunk_id"], each["score"]) for each in found["results"]] == [(FOUND.chunk_id, 0.75)]
    assert (found["mode"], found["timings"]["queue_ms"], found["timings"]["total_ms"]) == ("dense", 1, 12)
    assert response.headers["Server-Timing"] == "queue;dur=1, embed;dur=4, search;dur=6, total;dur=12"
    assert edge.queries.asked[0].top_k == 3


@pytest.mark.parametrize("code", sorted(STATUS))
async def test_every_failure_has_its_status_and_says_what_would_be_right(edge, code):
    edge.documents.error = errors.BY_CODE[code]("what would be right", field="id", retry_after_s=1.2)

    response, problem = await edge.json("GET", "/v1/documents/d", headers={"x-request-id": "mine-1"})

    assert response.status == problem["status"] == STATUS[code]
    assert response.content_type == "application/problem+json"
    assert (problem["detail"], problem["code"], problem["field"]) == ("what would be right", code, "id")
    assert problem["request_id"] == response.headers["x-request-id"] == "mine-1"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/collections/c/search", b"{", 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b"\xff", 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b'{"query": "\\ud800"}', 400, "line 1 column"),
        ("POST", "/v1/collections/c/search", b"[" * 100_000, 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "topk": 1}', 400, "top_k"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "filter": {"page": true}}', 400, "'page' takes"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "filter": {"page": {"less": 2}}}', 400, "at_most"),
        ("POST", "/v1/collections/c/search", SIXTEEN, 400, "filter must be an object of at most 16 fields"),
        ("POST", "/v1/collections/c/search", io.BytesIO(bytes(2_000_000)), 413, "1 MiB"),
        ("POST", "/v1/collections/c/answer", b'{"question": "x", "seed": 18446744073709551616}', 400, "seed"),
        ("POST", "/v1/collections/c/answer", b'{"question": "x", "temperature": NaN}', 400, "temperature"),
        ("POST", "/v1/collections/c/search", b'{"query": ""}', 400, "query must be a text of 1 to 8192 characters"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "top_k": 0}', 400, "a whole number from 1 to 100"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "top_k": NaN}', 400, "a whole number from 1 to 100"),
        ("POST", "/v1/collections/c/answer", b'{"question": "x", "top_p": 0}', 400, "a number above 0, at most 1"),
        (
            "POST",
            "/v1/collections/c/answer",
            b'{"question": "x", "stop": [""]}',
            400,
            "stop.0 must be a text of 1 to 256 characters",
        ),
        (
            "POST",
            "/v1/collections/c/answer",
            b'{"question": "x", "stop": "."}',
            400,
            "stop must be a list of at most 8",
        ),
        (
            "POST",
            "/v1/collections/c/answer",
            b'{"question": "x", "stream": 1}',
            400,
            "stream must be true or false",
        ),
        ("POST", "/v1/collections/c/answer", b"{}", 400, "question is missing: it must be a text of 1 to 8192"),
        ("POST", "/v1/collections/c/answer", b"[]", 400, "the body must be an object"),
        ("POST", "/v1/collections/c/answer", b"{", 400, "the body is not valid JSON: EOF"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "mode": "y"}', 400, "one of hybrid, dense, sparse"),
        ("POST", "/v1/collections/c/chat", b'{"messages": []}', 400, "messages must be a list of 1 to 257"),
        (
            "POST",
            "/v1/collections/c/chat",
            NESTED,
            400,
            "'messages.0.x' is not known here; known are role, content",
        ),
        ("POST", "/v1/admin/keys", b'{"expires_at": "soon"}', 400, "a time with its zone, like 2026"),
        ("POST", "/v1/admin/keys", b'{"scopes": ["all"]}', 400, "scopes.0 must be one of read, write, admin"),
        ("GET", "/v1/collections/c/documents?page_size=-1", None, 400, "from 1 to 1000, or 0 for the default"),
        ("POST", "/v1/collections/c/suggestions", b'{"document_id": "d", "answer": "a"}', 400, "one of them"),
        ("GET", "/v1/collections/c/documents?page_size=1001", None, 400, "page_size"),
        ("GET", "/v1/collections/c/documents?page_size=" + "1" * 5000, None, 400, "page_size"),
        ("GET", "/v1/collections/c/documents?state=LOST", None, 400, "QUEUED"),
        ("GET", "/nowhere", None, 404, "/docs"),
        ("PATCH", "/v1/collections", None, 405, "GET"),
    ],
)
async def test_a_bad_request_never_reaches_a_service(edge, method, path, body, status, says):
    response, problem = await edge.json(method, path, data=body, headers=JSON if body else None)

    assert response.status == status
    assert says in problem["detail"]
    assert not edge.queries.asked
    assert not edge.documents.asked


@pytest.mark.parametrize("bound", ["at_least", "at_most"])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
async def test_a_number_too_large_for_the_contract_never_wraps_around(edge, bound, number):
    """Wrapped, it would be a bound that lets everything through."""
    response, _ = await edge.json(
        "POST", "/v1/collections/c/search", json={"query": "x", "filter": {"page": {bound: number}}}
    )

    assert response.status == 400
    assert not edge.queries.asked


async def test_another_kind_of_body_is_named(edge):
    response, problem = await edge.json("POST", "/v1/collections/c/search", data="query=x")

    assert response.status == 415
    assert "application/json" in problem["detail"]


async def test_a_body_that_is_not_what_its_encoding_says_ends_its_connection_only(edge):
    headers = {**JSON, "Content-Encoding": "gzip"}

    response, problem = await edge.json("POST", "/v1/collections/c/search", data=b"no gzip", headers=headers)
    after, _ = await edge.json("POST", "/v1/collections/c/search", json={"query": "x"})

    assert (response.status, response.headers["Connection"]) == (400, "close")
    assert "can't be read" in problem["detail"]
    assert after.status == 200


async def test_a_caller_may_say_how_long_it_waits(edge):
    edge.queries.hold.clear()

    async with edge.ask(stream=False, headers={"X-Request-Timeout-Ms": "100"}) as late:
        problem = await late.json(content_type=None)
    async with edge.ask(headers={"X-Request-Timeout-Ms": "soon"}) as refused:
        pass

    assert (late.status, problem["code"]) == (504, "DEADLINE_EXCEEDED")
    assert refused.status == 400


async def test_vectors_in_openais_shape(edge):
    _, floats = await edge.json("POST", "/v1/embeddings", json={"input": ["a", "b"], "model": "e5"})
    _, encoded = await edge.json("POST", "/v1/embeddings", json={"input": "a", "encoding_format": "base64"})

    assert [each["embedding"] for each in floats["data"]] == [[1.0, 0.0], [0.0, 1.0]]
    assert floats["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert base64.b64decode(encoded["data"][0]["embedding"]) == struct.pack("<2f", 1, 0)


async def test_openais_routes_fail_in_openais_shape(edge):
    response, body = await edge.json("POST", "/v1/rerank", json={})

    assert response.status == 501
    assert body["error"]["type"] == "server_error"
    assert "reranking" in body["error"]["message"]


async def test_every_collection_is_a_model_to_openais_clients(edge):
    _, models = await edge.json("GET", "/v1/models")

    assert models["object"] == "list"
    assert [(each["id"], each["created"]) for each in models["data"]] == [
        ("ragmesh/default", 1767355200),
        ("ragmesh/teas", 1767355200),
        ("smol", 0),
        ("e5", 0),
    ]


async def test_the_description_is_whole(edge):
    _, api = await edge.json("GET", "/openapi.json")

    described = json.dumps(api)
    for reference in {part.split('"')[0] for part in described.split('"$ref": "#/components/')[1:]}:
        kind, name = reference.split("/")
        assert name in api["components"][kind]
    for path, operations in api["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                assert "content" in answer or "$ref" in answer or status in {"204", "501"}, path
            assert {"400", "429", "500", "503", "504"} <= set(operation["responses"])
            declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert declared == {part.split("}")[0] for part in path.split("{")[1:]}
    assert {"/v1/collections/{collection}/search", "/v1/documents/{id}/events", "/readyz"} <= set(api["paths"])


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_loads_nothing_from_elsewhere(edge, path):
    async with edge.client.get(path) as response:
        page = await response.text()

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "http://" not in page
    assert "https://" not in page


async def test_metrics_count_requests_by_route(edge):
    await edge.json("GET", "/v1/documents/d")

    async with edge.client.get("/metrics") as response:
        page = await response.text()

    assert 'ragmesh_http_seconds_count{method="GET",route="/v1/documents/{id}",status="200"}' in page


async def test_not_ready_names_the_service_that_is_away(edge):
    _, alive = await edge.json("GET", "/healthz")
    _, ready = await edge.json("GET", "/readyz")
    await edge.stop_services()

    async with asyncio.timeout(5):
        while (response := await edge.client.get("/readyz")).status == 200:  # noqa: ASYNC110 it is kept for a moment
            await asyncio.sleep(0.1)
    away = await response.json()

    assert (alive, ready["status"]) == ({"status": "alive"}, "ready")
    assert (response.status, away["parts"]["query"]) == (503, "UNAVAILABLE")


async def test_not_ready_names_the_server_behind_the_services_that_is_away(edge):
    edge.admin.triton = Health.UNREACHABLE

    response, away = await edge.json("GET", "/readyz")

    assert (response.status, away["parts"]["triton"], away["parts"]["milvus"]) == (503, "UNREACHABLE", "SERVING")


TEXTS = st.text(max_size=5)
WHOLE = st.integers(-9, 9)
VALUES = st.one_of(
    TEXTS,
    WHOLE,
    st.lists(TEXTS | WHOLE, max_size=3),
    st.fixed_dictionaries({"not": TEXTS | WHOLE}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({}, optional={"at_least": WHOLE, "at_most": WHOLE}),
)


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=16))
def test_a_filter_keeps_every_condition(conditions):
    body = SearchBody.model_validate({"query": "x", "filter": conditions})
    message = to_message(body.filter)

    assert [each.field for each in message.conditions] == list(conditions) if conditions else message is None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["query", "top_k", "mode", "filter", "rerank"])
hostile = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@hostile
@given(body=st.dictionaries(FIELDS, ANY_JSON) | ANY_JSON)
async def test_no_body_is_our_fault(edge, body):
    response, _ = await edge.json("POST", "/v1/collections/c/search", data=json.dumps(body), headers=JSON)

    assert response.status in {200, 400}


@hostile
@given(query=st.dictionaries(st.sampled_from(["page_size", "page_token", "state"]), st.text()))
async def test_no_query_string_is_our_fault(edge, query):
    response, _ = await edge.json("GET", "/v1/collections/c/documents", params=query)

    assert response.status in {200, 400}
