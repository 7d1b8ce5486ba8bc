"""Requests as OpenAI's clients send them: what is honoured, what is harmless, and what is refused and why.

Fields of ours (`top_k`, `mode`, `filter`) may stand beside OpenAI's: the SDKs send them by `extra_body`.
"""

import re
from typing import Annotated, Any, Literal, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.bodies import read
from gateway.models import Filter, Mode, Strict, TopK
from ragmesh.errors import InvalidArgument

TOKENS_MAX = 4096  # what the mesh writes at most; who asks for more gets as many
STOPS_MAX = 8
PROMPTS_MAX = 8

Tokens = Annotated[int | None, Field(ge=1)]
Seed = Annotated[int | None, Field(ge=-(2**63), lt=2**64)]
Stop = str | Annotated[list[str], Field(max_length=STOPS_MAX)] | None
Nothing = Annotated[list[Any], Field(max_length=0)] | Annotated[dict[str, Any], Field(max_length=0)] | None
Zero = Annotated[float, Field(ge=0, le=0)] | None
One = Annotated[int, Field(ge=1, le=1)] | None
Harmless = Any  # accepted, and nothing is done with it

WHY_NOT = {
    "tools": "the mesh calls no tools: leave it out",
    "tool_choice": "the mesh calls no tools: leave it out, or send none",
    "functions": "the mesh calls no functions: leave it out",
    "function_call": "the mesh calls no functions: leave it out, or send none",
    "response_format": 'answers are text: leave it out, or send {"type": "text"}',
    "modalities": 'answers are text: leave it out, or send ["text"]',
    "audio": "answers are text: leave it out",
    "prediction": "predicted outputs are not supported: leave it out",
    "web_search_options": "answers come from your documents alone: leave it out",
    "logprobs": "probabilities of tokens are not told: leave it out",
    "top_logprobs": "probabilities of tokens are not told: leave it out",
    "logit_bias": "single tokens can't be weighed: leave it out",
    "presence_penalty": "penalties are not supported: leave it out, or send 0",
    "frequency_penalty": "penalties are not supported: leave it out, or send 0",
    "n": "one answer is given at a time: leave it out, or send 1",
    "best_of": "one text is written at a time: leave it out, or send 1",
    "suffix": "text can't be inserted before a suffix: leave it out",
}
CONTENT = 'content is a text, or a list of {"type": "text", "text": …}: images, audio and files are not read here'

_CONTENT_AT = re.compile(r"messages\.\d+\.content")

BodyT = TypeVar("BodyT", bound=BaseModel)


def _no_numbers(given: Any) -> Any:
    """What stands where texts are wanted. Raises ValueError where it is what a tokenizer made of them."""
    if isinstance(given, list) and any(isinstance(each, int | list) for each in cast("list[Any]", given)):
        raise ValueError("lists of token numbers are not read: send a text, or a list of them")
    return given


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A turn. What else SDKs keep in one (name, refusal, citations of ours, …) is passed over."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What else a stream tells."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class TextFormat(Strict):
    """The one form that answers have."""

    type: Literal["text"]


class Sampled(Strict):
    """What both ways to have text written take."""

    model: str = Field(max_length=256)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Tokens = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: Seed = None
    stop: Stop = None
    n: One = None
    presence_penalty: Zero = None
    frequency_penalty: Zero = None
    logit_bias: Nothing = None
    user: Harmless = None

    @property
    def stops(self) -> list[str]:
        """The texts at which it ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def unsigned_seed(self) -> int | None:
        """The seed as the mesh takes it; OpenAI's may be negative."""
        return None if self.seed is None else self.seed % 2**64

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatCompletionBody(Sampled):
    """OpenAI's request for a chat completion."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Tokens = None
    top_k: TopK = None
    mode: Mode = "hybrid"
    filter: Filter = Field({})
    tools: Nothing = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Nothing = None
    function_call: Literal["none", "auto"] | None = None
    response_format: TextFormat | None = None
    modalities: list[Literal["text"]] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    parallel_tool_calls: Harmless = None
    metadata: Harmless = None
    store: Harmless = None
    service_tier: Harmless = None
    safety_identifier: Harmless = None
    prompt_cache_key: Harmless = None
    prompt_cache_retention: Harmless = None
    reasoning_effort: Harmless = None
    verbosity: Harmless = None

    @property
    def longest(self) -> int | None:
        """Tokens that the answer may have."""
        most = self.max_completion_tokens or self.max_tokens
        return min(most, TOKENS_MAX) if most else None


class CompletionBody(Sampled):
    """OpenAI's request to continue a text."""

    prompt: Annotated[
        str | Annotated[list[str], Field(min_length=1, max_length=PROMPTS_MAX)], BeforeValidator(_no_numbers)
    ]
    echo: bool | None = False
    logprobs: None = None
    best_of: One = None
    suffix: None = None

    @property
    def prompts(self) -> list[str]:
        """The texts to continue."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def longest(self) -> int | None:
        """Tokens that a continuation may have."""
        return min(self.max_tokens, TOKENS_MAX) if self.max_tokens else None


class EmbeddingsBody(Strict):
    """OpenAI's request for vectors."""

    input: Annotated[str | list[str], BeforeValidator(_no_numbers)]
    model: str = Field("", max_length=256)
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1)
    user: Harmless = None


async def read_openai(request: web.Request, model: type[BodyT]) -> BodyT:
    """The request's JSON. Raises HttpProblem, InvalidArgument that says of a refused field why it is refused."""
    try:
        return await read(request, model)
    except InvalidArgument as error:
        field = error.field or ""
        name = field.split(".", 1)[0]
        if found := _CONTENT_AT.match(field):
            raise InvalidArgument(f"{found[0]}: {CONTENT}", field=found[0]) from None
        if name in WHY_NOT and name in model.model_fields:
            raise InvalidArgument(f"{name}: {WHY_NOT[name]}", field=name) from None
        raise
