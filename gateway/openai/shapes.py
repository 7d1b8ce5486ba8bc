"""The JSON of OpenAI's API. What is ours beside it: `query`, `sources` and `citations` of an answer."""

from typing import NotRequired

from typing_extensions import TypedDict

from gateway.shapes import Citation, Usage


class Message(TypedDict):
    """An answer."""

    role: str
    content: str
    refusal: None
    query: str  # what was searched for
    citations: list[Citation]  # those whose markers stand in the content, in order of appearance


class Choice(TypedDict):
    """The one answer."""

    index: int
    message: Message
    logprobs: None
    finish_reason: str


class ChatCompletion(TypedDict):
    """A whole answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Delta(TypedDict):
    """What a chunk adds to the answer."""

    role: NotRequired[str]
    content: NotRequired[str]
    query: NotRequired[str]  # with the first chunk
    sources: NotRequired[list[Citation]]  # with the first chunk: the passages that are read
    citations: NotRequired[list[Citation]]  # with the last chunk, as of Message


class DeltaChoice(TypedDict):
    """The one answer, as it grows."""

    index: int
    delta: Delta
    logprobs: None
    finish_reason: str | None


class ChatChunk(TypedDict):
    """A piece of a streamed answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[DeltaChoice]
    usage: NotRequired[Usage | None]


class TextChoice(TypedDict):
    """A continuation, or a piece of it."""

    index: int
    text: str
    logprobs: None
    finish_reason: str | None


class Completion(TypedDict):
    """Continuations of texts, or a piece of them."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: NotRequired[Usage | None]


class Embedding(TypedDict):
    """A vector: numbers, or their little-endian float32 in base64."""

    object: str
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(TypedDict):
    """Vectors, in the order of the texts."""

    object: str
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class NamedModel(TypedDict):
    """Something that can be named as a model."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(TypedDict):
    """A collection each, and the embedder."""

    object: str
    data: list[NamedModel]
