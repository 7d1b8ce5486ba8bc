"""What LlamaIndex's clients for OpenAI's API are promised: llamaindex_client.py URL COLLECTION."""

import sys

import openai
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
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


def several_turns() -> None:
    said = [("user", ASKED), ("assistant", "At half past six."), ("user", "And on Sundays?")]
    answer = llm.chat([ChatMessage(role=role, content=text) for role, text in said])
    assert answer.raw.choices[0].message.model_extra["query"] == f"{ASKED} And on Sundays?"


def a_question_alone() -> None:
    assert llm.complete(ASKED).text


def embeddings() -> None:
    embedder = OpenAILikeEmbedding(model_name="", api_base=f"{url}/v1", api_key="none")
    one, two = embedder.get_text_embedding_batch(["tea", "coffee"])
    assert len(one) == len(two) == len(embedder.get_query_embedding("tea"))


def errors() -> None:
    nowhere = OpenAILike(model="gpt-4o", api_base=f"{url}/v1", api_key="none", is_chat_model=True, max_retries=0)
    try:
        nowhere.chat([ChatMessage(role="user", content=ASKED)])
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("a model that is not there answered")


for check in (whole_answers, streamed_answers, several_turns, a_question_alone, embeddings, errors):
    check()
    print("ok", check.__name__)
