"""What the official Python SDK makes of answers that fail: broken_streams.py URL COLLECTION."""

import sys

import openai

url, collection = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
request = {"model": f"ragmesh/{collection}", "messages": [{"role": "user", "content": "?"}]}


def a_stream_that_breaks_is_raised_after_what_it_said() -> None:
    heard = ""
    try:
        for chunk in client.chat.completions.create(**request, stream=True):
            heard += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        assert error.message == "the model died", error
        assert error.code == "unavailable"
    else:
        raise AssertionError("a broken answer looked complete")
    assert heard == "Jasmine "


def an_answer_that_breaks_is_raised() -> None:
    try:
        client.chat.completions.create(**request)
    except openai.InternalServerError as error:
        assert error.status_code == 503
        assert "the model died" in error.message
    else:
        raise AssertionError("a broken answer looked complete")


for check in (a_stream_that_breaks_is_raised_after_what_it_said, an_answer_that_breaks_is_raised):
    check()
    print("ok", check.__name__)
