"""What the services ask of the models."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelId:
    """A version of a model, as a manifest and Triton's repository name it: e5-small@1."""

    name: str
    version: str

    @classmethod
    def parse(cls, named: str) -> Self:
        """From NAME@VERSION."""
        name, _, version = named.rpartition("@")
        return cls(name, version)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Role(StrEnum):
    """What a text is embedded as; models with prefixes treat the two differently."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """What the model repository says of the embedder in use."""

    name: str  # for example "e5-small"
    version: str
    dims: int
    max_tokens: int
    languages: frozenset[str]  # ISO 639-1
    query_prefix: str
    passage_prefix: str
    token_vectors: bool = False  # whether it gives the vectors of a text's words too


@dataclass(frozen=True, slots=True)
class Words:
    """A text word by word, as an embedder reads it."""

    vectors: NDArray[np.float16]  # (words, dims): what the text's vector is the mean of
    sentences: NDArray[np.int32]  # (words,): the number of the sentence that each is in, ascending


@dataclass(frozen=True, slots=True)
class LanguageModelInfo:
    """What the model repository says of the language model in use."""

    name: str  # for example "smollm2-135m"
    version: str
    context_length: int  # tokens, prompt and answer together
    chat_template: str  # Jinja, as in tokenizer_config.json
    languages: frozenset[str]
    bytes_per_token: float  # of UTF-8, a low estimate: for budgets, not for bills
    prompt_tokens: int | None = None  # that a prompt should have at most; None for a share of the context


class Embedder(Protocol):
    """Texts to unit vectors. Safe to call concurrently."""

    @property
    def info(self) -> EmbedderInfo: ...

    async def embed(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dims), in order. Raises Unavailable, DeadlineExceeded, InvalidArgument."""
        ...


class WordEmbedder(Protocol):
    """Texts to the vectors of their words, where `EmbedderInfo.token_vectors`. Safe to call concurrently."""

    @property
    def info(self) -> EmbedderInfo: ...

    async def embed_words(self, text: str, role: Role) -> Words:
        """The words of a text. Raises Unavailable, DeadlineExceeded, InvalidArgument."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a prompt."""

    role: str  # "system", "user" or "assistant"
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is drawn."""

    max_tokens: int = 256
    temperature: float = 0.0  # 0 takes the likeliest token each time
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a generation. The last one has `finish_reason` and the token counts, and may have no text."""

    text: str
    finish_reason: str | None = None  # "stop" or "length"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Tokens(Protocol):
    """What a language model counts in."""

    def count(self, text: str) -> int:
        """How many tokens a text has inside of others."""
        ...

    def count_prompt(self, text: str) -> int:
        """How many it has as all that the model reads, with those that every prompt begins or ends with."""
        ...

    def cut(self, text: str, most: int) -> str:
        """The beginning of a text, in at most so many tokens."""
        ...


class LanguageModel(Protocol):
    """Messages, or a beginning, to text. Safe to call concurrently."""

    @property
    def info(self) -> LanguageModelInfo: ...

    @property
    def tokens(self) -> Tokens:
        """What it counts in."""
        ...

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens messages have as a prompt, in the form of the chat template."""
        ...

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Streams the text as it is written. Closing the generator stops the generation in the server.

        Raises Unavailable, DeadlineExceeded, InvalidArgument (prompt too long), ResourceExhausted.
        """
        ...

    def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Likewise, what follows a text that is given to the model as it is."""
        ...
