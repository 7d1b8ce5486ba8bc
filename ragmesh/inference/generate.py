"""Messages to text on Triton, streamed.

async with TritonLanguageModel("127.0.0.1:8001", "smollm2-135m@1") as llm:
    async for piece in llm.generate([Message("user", "Name a tea.")], Sampling(max_tokens=32)):
        print(piece.text, end="")
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tritonclient.grpc import InferInput

from ragmesh.inference.port import LanguageModelInfo, Message, ModelId, Piece, Sampling, Tokens
from ragmesh.inference.triton import Triton, translated
from ragmesh.inference.vocabulary import tokens_of
from ragmesh.rpc.context import time_left

SILENCE_S = 1.0  # without a piece, until the model is asked whether it lives
SIGN_OF_LIFE_S = 10.0


class TritonLanguageModel:
    """Implements LanguageModel. Entering waits for the model and reads what it is."""

    def __init__(self, url: str, model: str, *, timeout_s: float = 180.0) -> None:
        self._triton = Triton(url)
        self._model = model
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        await self._triton.__aenter__()
        parameters = await self._triton.wait_for_model(self._model)
        model = ModelId.parse(self._model)
        self._info = LanguageModelInfo(
            name=model.name,
            version=model.version,
            context_length=int(parameters["context_length"]),
            chat_template=parameters["chat_template"],
            languages=frozenset(parameters["languages"].split()),
            bytes_per_token=float(parameters["bytes_per_token"]),
            prompt_tokens=int(parameters["prompt_tokens"]) if "prompt_tokens" in parameters else None,
        )
        self._tokens = await asyncio.to_thread(tokens_of, parameters)  # a tenth of a second
        self._template = chat_template(self._info.chat_template)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._triton.__aexit__(kind, error, trace)

    @property
    def info(self) -> LanguageModelInfo:
        """What the repository says of the model."""
        return self._info

    @property
    def tokens(self) -> Tokens:
        """Its own tokens, or an estimate where the repository does not have them."""
        return self._tokens

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens the model will read."""
        return self._tokens.count_prompt(self._prompt(messages))

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Streams the text as it is written. Closing the iterator stops the generation in the server.

        Raises Unavailable, DeadlineExceeded, InvalidArgument (prompt too long), ResourceExhausted.
        """
        return self.complete(self._prompt(messages), sampling)

    async def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Likewise, what follows a text that is given to the model as it is."""
        stream = self._stream(_inputs(prompt, sampling), self._timeout_s)
        try:
            while (result := await self._next(stream)) is not None:
                yield _piece(result)
        finally:
            # Leaving the loop is not enough: without this the model would write on for nobody.
            stream.cancel()

    async def require_alive(self) -> None:
        """Raises Unavailable when the model's process is dead. A busy one answers: this takes no slot."""
        stream = self._stream(_inputs("", Sampling(max_tokens=0)), SIGN_OF_LIFE_S)
        try:
            await _receive(stream)
        finally:
            stream.cancel()

    def _stream(self, inputs: list[InferInput], timeout_s: float) -> Any:
        return self._triton.client.stream_infer(
            _once({"model_name": self._model, "inputs": inputs, "enable_empty_final_response": True}),
            stream_timeout=time_left(timeout_s),
        )

    async def _next(self, stream: Any) -> Any:
        """The next result, None after the last. Triton leaves the streams of a dead process open: silence asks."""
        coming = asyncio.ensure_future(_receive(stream))
        try:
            while not (await asyncio.wait((coming,), timeout=SILENCE_S))[0]:
                await self.require_alive()
            return coming.result()
        finally:
            coming.cancel()

    def _prompt(self, messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return self._template.render(messages=turns, add_generation_prompt=True)


def chat_template(source: str) -> Template:
    """The template that came with the weights. Weights come from anywhere, so it runs in a sandbox."""
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(source)


async def _once(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield request


async def _receive(stream: Any) -> Any:
    """The next result of a stream, None after the last."""
    with translated():
        try:
            result, error = await anext(stream)
        except StopAsyncIteration:
            return None
        if error is not None:
            raise error
        return result


def _piece(result: Any) -> Piece:
    text = _text(result, "text_output")
    if text:
        return Piece(text)
    return Piece(
        "",
        finish_reason=_text(result, "finish_reason"),
        prompt_tokens=int(result.as_numpy("num_input_tokens")[0, 0]),
        completion_tokens=int(result.as_numpy("num_output_tokens")[0, 0]),
    )


def _text(result: Any, name: str) -> str:
    return result.as_numpy(name)[0, 0].decode("utf-8", "replace")


def _inputs(prompt: str, sampling: Sampling) -> list[InferInput]:
    inputs = [
        _tensor("text_input", [[prompt.encode()]], "BYTES", np.object_),
        _tensor("max_tokens", [[sampling.max_tokens]], "INT32", np.int32),
        _tensor("temperature", [[sampling.temperature]], "FP32", np.float32),
        _tensor("top_p", [[sampling.top_p]], "FP32", np.float32),
        _tensor("stream", [[True]], "BOOL", np.bool_),
    ]
    if sampling.seed is not None:
        inputs.append(_tensor("seed", [[sampling.seed]], "UINT64", np.uint64))
    if sampling.stop:
        inputs.append(_tensor("stop_words", [[text.encode() for text in sampling.stop]], "BYTES", np.object_))
    return inputs


def _tensor(name: str, values: list[list[Any]], kind: str, dtype: Any) -> InferInput:
    array = np.array(values, dtype)
    tensor = InferInput(name, list(array.shape), kind)
    tensor.set_data_from_numpy(array)
    return tensor
