"""What LangChain's clients for OpenAI are promised: langchain_client.py URL COLLECTION."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

url, collection = sys.argv[1:]
CLIENT = {"base_url": f"{url}/v1", "api_key": "none"}
chat = ChatOpenAI(model=f"ragmesh/{collection}", max_tokens=24, temperature=0, **CLIENT)
ASKED = "When does the ferry leave?"


def whole_answers() -> None:
    answer = chat.invoke([SystemMessage("Be brief."), HumanMessage(ASKED)])
    assert answer.content
    assert answer.usage_metadata["total_tokens"] > 0


def streamed_answers() -> None:
    chunks = list(chat.stream(ASKED, stream_usage=True))
    assert "".join(chunk.text for chunk in chunks)
    assert any(chunk.usage_metadata for chunk in chunks)


def several_turns() -> None:
    said = [HumanMessage(ASKED), AIMessage("At half past six."), HumanMessage("And on Sundays?")]
    assert chat.invoke(said).content


def embeddings() -> None:
    # LangChain counts tokens for OpenAI's own models before it asks; here texts go as they are.
    embedder = OpenAIEmbeddings(model="", check_embedding_ctx_length=False, **CLIENT)
    one, two = embedder.embed_documents(["tea", "coffee"])
    assert len(one) == len(two) == len(embedder.embed_query("tea"))


for check in (whole_answers, streamed_answers, several_turns, embeddings):
    check()
    print("ok", check.__name__)
