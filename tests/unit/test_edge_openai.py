"""OpenAI's routes: their shapes, what they refuse and why, and errors where OpenAI's clients look for them."""

import json

import pytest

from ragmesh import errors
from ragmesh.v1 import AnswerError, AnswerEvent, AnswerRequest, Speaker
from tests.edge import ANSWER, an_edge

ASKED = {"model": "ragmesh/teas", "messages": [{"role": "user", "content": "Which tea?"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture
async def edge():
    async with an_edge() as running:
        yield running


async def chunks_of(response) -> list:
    """What a raw reader of the stream sees: JSON of each block, and the last word."""
    blocks = [block for block in (await response.text()).split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


async def test_a_conversation_is_answered_from_the_collection_that_the_model_names(edge):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which tea?"},
        {"role": "assistant", "content": "Jasmine.", "refusal": None, "citations": []},
        {"role": "user", "content": [{"type": "text", "text": "And in "}, {"type": "text", "text": "winter?"}]},
    ]
    sampling = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": -1, "stop": "\n", "top_k": 3}

    response, body = await edge.json("POST", CHAT, json={**ASKED, "messages": messages, **sampling})

    assert response.status == 200
    choice = body["choices"][0]
    assert (body["object"], body["model"]) == ("chat.completion", "ragmesh/teas")
    assert choice["message"]["content"] == "Jasmine tea. [1]"
    assert choice["message"]["citations"][0]["document_name"] == "a.md"
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    asked: AnswerRequest = edge.queries.asked[0]
    assert (asked.collection, asked.question, asked.instruction) == ("teas", "And in winter?", "Be brief.")
    assert [(turn.speaker, turn.text) for turn in asked.history] == [
        (Speaker.USER, "Which tea?"),
        (Speaker.ASSISTANT, "Jasmine."),
    ]
    assert (asked.max_tokens, asked.top_k, asked.seed, asked.stop) == (9, 3, 2**64 - 1, ["\n"])


async def test_a_stream_has_the_role_first_then_text_then_the_reason_and_citations(edge):
    async with edge.client.post(CHAT, json={**ASKED, "stream": True}) as response:
        *chunks, last = await chunks_of(response)

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert deltas[0]["role"] == "assistant"
    assert deltas[0]["sources"][0]["marker"] == "[1]"
    assert "".join(delta.get("content", "") for delta in deltas) == "Jasmine tea. [1]"
    assert deltas[-1]["citations"][0]["document_name"] == "a.md"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)
    assert last == "[DONE]"


async def test_usage_is_told_in_a_chunk_of_its_own_where_it_is_asked_for(edge):
    body = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}
    async with edge.client.post(CHAT, json=body) as response:
        *chunks, usage, _ = await chunks_of(response)

    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 12
    assert all(chunk["usage"] is None for chunk in chunks)


async def test_an_error_in_the_middle_is_an_error_and_never_text(edge):
    edge.queries.events[2] = AnswerEvent(error=AnswerError(code="UNAVAILABLE", message="the model died"))
    async with edge.client.post(CHAT, json={**ASKED, "stream": True}) as response:
        chunks = await chunks_of(response)

    assert chunks[-1] == {
        "error": {"message": "the model died", "type": "server_error", "param": None, "code": "unavailable"}
    }


async def test_what_fails_at_once_has_its_status(edge):
    edge.queries.events[0] = errors.ResourceExhausted("too many answers", retry_after_s=3)

    response, body = await edge.json("POST", CHAT, json={**ASKED, "stream": True})

    assert (response.status, response.headers["Retry-After"]) == (429, "3")
    assert body["error"]["code"] == "resource_exhausted"


@pytest.mark.parametrize("model", ["gpt-4o", "ragmesh/none", "other/teas", "ragmesh/"])
async def test_a_model_that_is_not_there_is_not_found(edge, model):
    edge.queries.events[0] = errors.NotFound("there is no collection")

    response, body = await edge.json("POST", CHAT, json={**ASKED, "model": model})

    assert response.status == 404
    assert (body["error"]["code"], body["error"]["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("wrong", "param", "says"),
    [
        ({"tools": [{"type": "function"}]}, "tools", "calls no tools"),
        ({"functions": [{}]}, "functions", "calls no functions"),
        ({"response_format": {"type": "json_object"}}, "response_format", "answers are text"),
        ({"logprobs": True}, "logprobs", "not told"),
        ({"n": 2}, "n", "one answer"),
        ({"presence_penalty": 1}, "presence_penalty", "penalties"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "weighed"),
        ({"audio": {}}, "audio", "text"),
        ({"temprature": 1}, "temprature", "not known"),
        ({"messages": []}, "messages", "messages must be a list of at least 1"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages", "role must be user"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages.0.role", "one of system, developer, user"),
        ({"messages": [5]}, "messages.0", "must be an object"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "content is a text"),
        ({"messages": [{"role": "user"}]}, "messages", "send 1 to 8,192"),
        ({"messages": [{"role": "user", "content": "x" * 8193}]}, "messages", "8,193 characters"),
        ({"messages": [{"role": "system", "content": "x" * 2049}, *ASKED["messages"]]}, "messages", "2,049"),
        ({"stop": ["."] * 9}, "stop", "a text, or a list of at most 8, each a text"),
    ],
)
async def test_what_is_not_supported_is_refused_by_its_name(edge, wrong, param, says):
    response, body = await edge.json("POST", CHAT, json={**ASKED, **wrong})

    assert response.status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["param"] == param
    assert says in body["error"]["message"]


async def test_of_a_conversation_that_has_become_too_long_the_newest_turns_are_read(edge):
    many = [{"role": "user", "content": str(number)} for number in range(300)]
    long = [{"role": "user", "content": "x" * 40_000}, {"role": "assistant", "content": "y" * 40_000}]

    for messages in (many, long):
        response, body = await edge.json("POST", CHAT, json={**ASKED, "messages": messages + ASKED["messages"]})
        assert response.status == 200, body

    assert [turn.text for turn in edge.queries.asked[0].history] == [str(number) for number in range(44, 300)]
    assert [turn.text[0] for turn in edge.queries.asked[1].history] == ["y"]


async def test_an_image_is_refused_with_what_is_read(edge):
    image = {"type": "image_url", "image_url": {"url": "data:,"}}

    response, body = await edge.json(
        "POST", CHAT, json={**ASKED, "messages": [{"role": "user", "content": [image]}]}
    )

    assert response.status == 400
    assert "images, audio and files are not read" in body["error"]["message"]


async def test_what_does_no_harm_is_taken(edge):
    harmless = {
        "n": 1,
        "user": "u",
        "store": False,
        "metadata": {"k": "v"},
        "tools": [],
        "tool_choice": "none",
        "presence_penalty": 0.0,
        "frequency_penalty": 0,
        "logit_bias": {},
        "response_format": {"type": "text"},
        "logprobs": None,
        "stop": None,
        "max_completion_tokens": 100_000,
    }

    response, body = await edge.json("POST", CHAT, json={**ASKED, **harmless})

    assert response.status == 200, body
    assert edge.queries.asked[0].max_tokens == 4096


async def test_texts_are_continued_one_by_one(edge):
    body = {"model": "smol", "prompt": ["Once", "Twice"], "echo": True}
    _, written = await edge.json("POST", "/v1/completions", json=body)

    assert [choice["text"] for choice in written["choices"]] == ["OnceJasmine tea. [1]", "TwiceJasmine tea. [1]"]
    assert written["usage"]["total_tokens"] == 24
    assert edge.queries.asked[0].prompt == "Once"


async def test_a_continuation_streams(edge):
    body = {"model": "smol", "prompt": "Once", "stream": True, "stream_options": {"include_usage": True}}
    async with edge.client.post("/v1/completions", json=body) as response:
        *chunks, usage, last = await chunks_of(response)

    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Jasmine tea. [1]"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == 3
    assert last == "[DONE]"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"model": "ragmesh/teas", "prompt": "Once"}, 404, "smol continues texts"),
        ({"model": "smol", "prompt": [1, 2]}, 400, "token numbers"),
        ({"model": "smol", "prompt": ["a"] * 9}, 400, "prompt must be a text, or a list of 1 to 8, each a text"),
        ({"model": "smol", "prompt": "a", "suffix": "b"}, 400, "suffix"),
    ],
)
async def test_what_can_not_be_continued_is_refused(edge, body, status, says):
    response, answer = await edge.json("POST", "/v1/completions", json=body)

    assert response.status == status
    assert says in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "e5 makes vectors"),
        ({"input": "a", "dimensions": 512}, 400, "2 dimensions only"),
        ({"input": [1, 2]}, 400, "token numbers"),
        ({"input": [[1, 2]]}, 400, "token numbers"),
        ({"model": "e5"}, 400, "input is missing: it must be a text, or a list"),
        ({"input": []}, 400, "1 to 256"),
        ({"input": ["a", " "]}, 400, "none of them empty"),
    ],
)
async def test_vectors_of_another_model_or_size_are_refused(edge, body, status, says):
    response, answer = await edge.json("POST", "/v1/embeddings", json=body)

    assert response.status == status
    assert says in answer["error"]["message"]


@pytest.mark.parametrize("model", ["ragmesh", "ragmesh/teas", "smol", "e5"])
async def test_a_listed_model_can_be_looked_up(edge, model):
    response, body = await edge.json("GET", f"/v1/models/{model}")

    assert (response.status, body["id"]) == (200, model)


async def test_a_model_that_is_not_listed_can_not_be_looked_up(edge):
    response, body = await edge.json("GET", "/v1/models/gpt-4o")

    assert (response.status, body["error"]["code"]) == (404, "model_not_found")


async def test_a_conversation_of_our_own_shape_is_answered(edge):
    body = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "Tea."}]}
    refused, problem = await edge.json("POST", "/v1/collections/teas/chat", json=body)
    body["messages"].append({"role": "user", "content": "And why?"})
    edge.queries.events = [*ANSWER]

    _, answer = await edge.json("POST", "/v1/collections/teas/chat", json=body)

    assert (refused.status, problem["field"]) == (400, "messages")
    assert answer["answer"] == "Jasmine tea. [1]"
    assert edge.queries.asked[-1].question == "And why?"
    assert [turn.text for turn in edge.queries.asked[-1].history] == ["Which?", "Tea."]


async def test_tokens_come_as_they_are_written(edge):
    edge.queries.hold.clear()
    edge.queries.hold_at = 2
    async with edge.client.post(CHAT, json={**ASKED, "stream": True}) as response:
        await response.content.readuntil(b"\n\n")
        first = await response.content.readuntil(b"\n\n")
        edge.queries.hold.set()
        rest = await response.text()

    assert b"Jasmine" in first
    assert "tea." in rest
