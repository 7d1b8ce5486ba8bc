"""What one caller may ask for, what bodies and heads may be, and what a browser may show."""

import asyncio
import json

import pytest
import structlog.testing

from ragmesh import errors
from ragmesh.v1 import AnswerEvent, Usage
from tests.edge import ANSWER, an_edge, events_of

SEARCH = "/v1/collections/c/search"


def told(response, what: str) -> list[str]:
    return [response.headers[f"x-ratelimit-{which}-{what}"] for which in ("limit", "remaining", "reset")]


async def search(edge, **kwargs):
    return await edge.json("POST", SEARCH, json={"query": "tea"}, **kwargs)


async def test_requests_beyond_the_limit_are_refused_and_told_when_to_come_back():
    async with an_edge(requests_per_minute=2) as edge:
        first, _ = await search(edge)
        await search(edge)
        refused, problem = await search(edge)

        assert told(first, "requests") == ["2", "1", "30s"]
        assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
        assert told(refused, "requests")[:2] == ["2", "0"]
        assert "2 requests in a minute" in problem["detail"]
        assert len(edge.queries.asked) == 2


async def test_what_operators_ask_is_not_counted():
    async with an_edge(requests_per_minute=1) as edge:
        await search(edge)

        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            async with edge.client.get(path) as response:
                assert response.status == 200
                assert "x-ratelimit-limit-requests" not in response.headers


async def test_a_stream_tells_of_the_limits_before_its_first_byte_and_costs_what_it_used():
    async with an_edge(tokens_per_minute=3000, requests_per_minute=10) as edge:
        async with edge.ask() as response:
            reserved = told(response, "tokens")
            await events_of(response)
        async with edge.ask() as response:
            after = told(response, "tokens")

        assert told(response, "requests")[0] == "10"
        assert reserved[:2] == ["3000", str(3000 - 4 * 256 - 256 - 1)]
        assert int(after[1]) == pytest.approx(int(reserved[1]) - 12, abs=3)  # the answer used 12


async def test_tokens_that_are_used_up_are_refused_before_a_model_is_asked():
    async with an_edge(tokens_per_minute=1000) as edge:
        edge.queries.events = [*ANSWER[:3], _used(5000), ANSWER[-1]]
        async with edge.ask() as response:
            await response.read()
        refused, problem = await edge.json("POST", "/v1/embeddings", json={"input": "tea"})

        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) == pytest.approx(240, abs=3)  # 4,000 are owed
        assert "1000 tokens in a minute" in problem["error"]["message"]


async def test_what_fails_costs_no_tokens():
    async with an_edge(tokens_per_minute=3000) as edge:
        edge.queries.events = [errors.Unavailable("the model is away")]
        for _ in range(5):
            async with edge.ask() as response:
                assert response.status == 503


async def test_embeddings_cost_what_was_read():
    async with an_edge(tokens_per_minute=1000) as edge:
        await edge.json("POST", "/v1/embeddings", json={"input": "tea " * 400})
        response, _ = await edge.json("POST", "/v1/embeddings", json={"input": "tea"})

        assert int(told(response, "tokens")[1]) == pytest.approx(1000 - 7 - 1, abs=2)


async def test_a_tenant_has_so_many_requests_at_once_and_no_more():
    async with an_edge(tenant_in_flight_max=1) as edge:
        edge.queries.hold.clear()
        running = await edge.ask()
        refused, problem = await search(edge)
        edge.queries.hold.set()
        await running.read()
        after, _ = await search(edge)

        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert "1 requests of your tenant" in problem["detail"]
        assert after.status == 200


async def test_so_many_uploads_are_taken_in_at_once_and_no_more():
    async with an_edge(uploads_max=1) as edge:
        upload = "/v1/collections/c/documents?name=a"
        half, rest = asyncio.Event(), asyncio.Event()

        async def in_two_pieces():
            yield b"tea "
            half.set()
            await rest.wait()
            yield b"time"

        sending = asyncio.create_task(edge.json("POST", upload, data=in_two_pieces()))
        await half.wait()
        await edge.documents.arrived.wait()
        refused, problem = await edge.json("POST", upload, data=b"tea")
        rest.set()

        assert (refused.status, "1 uploads" in problem["detail"]) == (429, True)
        assert (await sending)[0].status == 202


async def test_a_body_that_comes_too_slowly_is_not_waited_for():
    async def drops():
        for _ in range(1000):
            yield b" "
            await asyncio.sleep(0.01)

    async with an_edge(body_slow_s=0.08) as edge:
        response, problem = await edge.json(
            "POST", SEARCH, data=drops(), headers={"Content-Type": "application/json"}
        )

    assert response.status == 408
    assert "256 bytes in a second" in problem["detail"]


async def test_an_upload_that_a_slow_service_holds_up_is_not_its_senders_fault():
    async def much():
        for _ in range(64):
            yield bytes(1 << 20)

    async with an_edge(body_slow_s=0.08) as edge:
        edge.documents.taking.clear()
        sending = asyncio.create_task(edge.json("POST", "/v1/collections/c/documents?name=a", data=much()))
        await asyncio.sleep(0.5)
        edge.documents.taking.set()

        response, _ = await sending
    assert response.status == 202


async def test_no_page_of_another_origin_reads_the_edge_unless_it_may(edge):
    async with edge.client.get("/healthz", headers={"Origin": "https://app.example"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_page_of_an_allowed_origin_calls_after_a_preflight():
    async with an_edge(cors_origins="https://app.example, https://other.example") as edge:
        page = {"Origin": "https://app.example"}
        asks = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        async with edge.client.options(SEARCH, headers=asks) as preflight:
            pass
        response, _ = await search(edge, headers=page)
        async with edge.client.options(SEARCH, headers=asks | {"Origin": "https://evil.example"}) as refused:
            pass

        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, page["Origin"])
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert "X-RateLimit-Remaining-Tokens" in response.headers["Access-Control-Expose-Headers"]
        assert (refused.status, "Access-Control-Allow-Origin" in refused.headers) == (405, False)


async def test_responses_can_neither_be_framed_nor_sniffed_nor_tell_where_a_reader_was(edge):
    response, _ = await edge.json("GET", "/v1/documents/d")

    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(("proxies", "is_told"), [("127.0.0.0/8", True), ("10.0.0.0/8", False), ("", False)])
async def test_browsers_are_bound_to_https_where_a_trusted_proxy_says_that_it_was(proxies, is_told):
    async with (
        an_edge(trusted_proxies=proxies) as edge,
        edge.client.get("/healthz", headers={"X-Forwarded-Proto": "https"}) as response,
    ):
        assert ("Strict-Transport-Security" in response.headers) is is_told


async def test_the_log_has_a_line_for_a_request_and_no_word_of_the_caller(edge):
    with structlog.testing.capture_logs() as lines:
        response, body = await search(edge, headers={"Authorization": "Bearer s3cret"}, params={"note": "s3cret"})

    (line,) = [line for line in lines if line["event"] == "http.done"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/collections/{collection}/search", 200)
    assert (line["tenant"], line["subject"]) == ("default", "anybody")
    assert line["bytes"] == int(response.headers["Content-Length"]) > 0
    assert "s3cret" not in json.dumps(lines, default=str)
    assert body["results"][0]["text"] not in json.dumps(line)


def _used(tokens: int) -> AnswerEvent:
    return AnswerEvent(usage=Usage(prompt_tokens=tokens, completion_tokens=0))
