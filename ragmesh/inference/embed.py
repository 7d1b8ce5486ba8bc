"""Texts to vectors on Triton.

async with TritonEmbedder("127.0.0.1:8001", "e5-small@1") as embedder:
    vectors = await embedder.embed(["How do I renew a pass?"], Role.QUERY)   # (1, 384), unit length
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput

from ragmesh.inference.lane import Lane, at_ease
from ragmesh.inference.port import EmbedderInfo, ModelId, Role, Words
from ragmesh.inference.triton import Triton, translated
from ragmesh.rpc.context import time_left

QUESTIONS_IN_FLIGHT = 64  # as many as Triton batches
PASSAGES_IN_FLIGHT = 2  # at first: it keeps a CPU busy, and a question waits for two passages, not for a document


class TritonEmbedder:
    """Implements Embedder. Entering waits for the model and reads what it is."""

    def __init__(
        self, url: str, model: str, *, timeout_s: float = 30.0, pressure: Callable[[], float] = at_ease
    ) -> None:
        """`pressure`: how hard pressed questions are; passages leave them more room the harder it is."""
        self._triton = Triton(url)
        self._model = model
        self._timeout_s = timeout_s
        self._lanes = {
            Role.QUERY: Lane(QUESTIONS_IN_FLIGHT),
            Role.PASSAGE: Lane(PASSAGES_IN_FLIGHT, pressure, most=QUESTIONS_IN_FLIGHT),
        }

    async def __aenter__(self) -> Self:
        await self._triton.__aenter__()
        parameters = await self._triton.wait_for_model(self._model)
        model = ModelId.parse(self._model)
        self._info = EmbedderInfo(
            name=model.name,
            version=model.version,
            dims=int(parameters["dims"]),
            max_tokens=int(parameters["max_tokens"]),
            languages=frozenset(parameters["languages"].split()),
            query_prefix=parameters["query_prefix"],
            passage_prefix=parameters["passage_prefix"],
            token_vectors=parameters.get("token_vectors") == "true",
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._triton.__aexit__(kind, error, trace)

    @property
    def info(self) -> EmbedderInfo:
        """What the repository says of the model."""
        return self._info

    async def embed(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dims), in order. Raises Unavailable, DeadlineExceeded, InvalidArgument."""
        vectors, _ = await self.embed_counted(texts, role)
        return vectors

    async def embed_counted(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.float32], int]:
        """The vectors, and how many tokens were read for them."""
        if not texts:
            return np.empty((0, self._info.dims), np.float32), 0
        prefix = self._prefix(role)
        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(self._infer(prefix + text, self._lanes[role])) for text in texts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        results = [call.result() for call in calls]
        tokens = sum(int(result.as_numpy("num_tokens")[0, 0]) for result in results)
        return np.concatenate([result.as_numpy("embedding") for result in results]), tokens

    async def embed_words(self, text: str, role: Role) -> Words:
        """The words of a text, where `info.token_vectors`."""
        result = await self._infer(
            self._prefix(role) + text, self._lanes[role], ("token_vectors", "token_sentences")
        )
        return Words(result.as_numpy("token_vectors")[0], result.as_numpy("token_sentences")[0])

    def _prefix(self, role: Role) -> str:
        return self._info.query_prefix if role is Role.QUERY else self._info.passage_prefix

    async def _infer(self, text: str, lane: Lane, outputs: Sequence[str] = ("embedding", "num_tokens")) -> Any:
        """A request for each text: the model takes them one by one anyway, and others pass in between."""
        tensor = InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text.encode()]], np.object_))
        wanted = [InferRequestedOutput(output) for output in outputs]
        async with lane.turn():
            with translated():
                return await self._triton.client.infer(
                    self._model, [tensor], outputs=wanted, client_timeout=time_left(self._timeout_s)
                )
