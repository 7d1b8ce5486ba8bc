"""What LlamaIndex's client for OpenAI's API is promised: llamaindex_client.py URL COLLECTION."""

import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

url, collection = sys.argv[1:]
llm = OpenAILike(
    model=f"ragmesh/{collection}", api_base=f"{url}/v1", api_key="none", is_chat_model=True, max_tokens=24
)
ASKED = "When does the ferry leave?"


def whole_answers() -> None:
    answer = llm.chat([ChatMessage(role="user", content=ASKED)])
    assert answer.message.content
    assert answer.raw.choices[0].message.model_extra["query"] == ASKED


def streamed_answers() -> None:
    assert "".join(chunk.delta for chunk in llm.stream_chat([ChatMessage(role="user", content=ASKED)]))


def a_question_alone() -> None:
    assert llm.complete(ASKED).text


for check in (whole_answers, streamed_answers, a_question_alone):
    check()
    print("ok", check.__name__)
