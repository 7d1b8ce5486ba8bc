"""What the official Python SDK of OpenAI is promised: openai_python.py URL COLLECTION."""

import asyncio
import sys

import openai

url, collection = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2)
STORY = "Once upon a time there was a ferry, and this is the very long story of all its journeys:"
MODEL = f"ragmesh/{collection}"
ASKED = [{"role": "user", "content": "When does the ferry leave?"}]


def language_model() -> str:
    return next(model.id for model in client.models.list() if not model.id.startswith("ragmesh/"))


def whole_answers() -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=24, temperature=0, seed=7)
    message = answer.choices[0].message
    assert message.role == "assistant"
    assert message.content
    assert message.model_extra["query"] == ASKED[0]["content"]
    assert isinstance(message.model_extra["citations"], list)
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def streamed_answers() -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ASKED, max_tokens=24, stream=True, stream_options={"include_usage": True}
    )
    first, *middle, last, usage = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert first.choices[0].delta.model_extra["sources"][0]["document_name"] == "ferry.md"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle)
    assert last.choices[0].finish_reason in ("stop", "length")
    assert isinstance(last.choices[0].delta.model_extra["citations"], list)
    assert usage.usage.completion_tokens > 0


def several_turns() -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=24).choices[0].message
    said = [*ASKED, answer.model_dump(), {"role": "user", "content": "And on Sundays?"}]
    again = client.chat.completions.create(model=MODEL, messages=said, max_tokens=24).choices[0].message
    assert again.model_extra["query"] == "When does the ferry leave? And on Sundays?"


def the_stream_helper_of_the_sdk() -> None:
    with client.chat.completions.stream(model=MODEL, messages=ASKED, max_tokens=24) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        whole = stream.get_final_completion()
    assert text == whole.choices[0].message.content


def leaving_a_stream() -> None:
    """The test looks at the model whether it stopped."""
    with client.completions.create(model=language_model(), prompt=STORY, max_tokens=1500, stream=True) as stream:
        assert next(chunk for chunk in stream if chunk.choices[0].text)


def embeddings() -> None:
    made = client.embeddings.create(model="", input=["tea", "coffee"])  # the SDK asks for base64 by itself
    plain = client.embeddings.create(model=made.model, input="tea", encoding_format="float")
    ours = made.data[0].embedding
    assert len(made.data) == 2
    assert abs(sum(a * b for a, b in zip(ours, plain.data[0].embedding, strict=True)) - 1) < 1e-3
    client.embeddings.create(model=made.model, input="tea", dimensions=len(ours))


def models() -> None:
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    assert client.models.retrieve(MODEL).id == MODEL


def completions() -> None:
    name = language_model()
    written = client.completions.create(model=name, prompt="Once upon a time", max_tokens=8)
    streamed = client.completions.create(model=name, prompt="Once upon a time", max_tokens=8, stream=True)
    text = "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)
    assert written.choices[0].text == text
    assert written.usage.completion_tokens > 0


def errors() -> None:
    expect(openai.NotFoundError, "model_not_found", model="gpt-4o", messages=ASKED)
    expect(openai.NotFoundError, "model_not_found", model="ragmesh/there-is-none", messages=ASKED)
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    error = expect(openai.BadRequestError, "invalid_argument", model=MODEL, messages=ASKED, tools=[tool])
    assert error.param == "tools"
    expect(openai.BadRequestError, "invalid_argument", model=MODEL, messages=ASKED, n=2)


def expect(kind: type[openai.APIStatusError], code: str, **request) -> openai.APIStatusError:
    try:
        client.chat.completions.create(**request)
    except kind as error:
        assert error.code == code, error
        assert error.request_id
        return error
    raise AssertionError(f"{request} was not refused")


async def the_async_client() -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as own:
        stream = await own.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=24, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason


CHECKS = (
    whole_answers,
    streamed_answers,
    several_turns,
    the_stream_helper_of_the_sdk,
    leaving_a_stream,
    embeddings,
    models,
    completions,
    errors,
)
for check in CHECKS:
    check()
    print("ok", check.__name__)
asyncio.run(the_async_client())
print("ok the_async_client")
