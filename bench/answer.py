"""Answers: time to the first SSE token, beside Triton's language model called with the same prompt.

Each would find the other's prompt in the model's prompt cache. So the bare engine gets the mesh's prompt with one
word put before its first source: as long, and as cold.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.corpus import Question
from bench.edge import Edge, Streamed
from bench.engines import Engines
from ragmesh.chunk import Chunk
from ragmesh.inference.port import Message, Sampling
from svc_query import prompt

SALT = "Note: "


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """Times of answers to the same questions, one at a time."""

    mesh_first_s: Sequence[float]
    engine_first_s: Sequence[float]
    mesh_tokens_per_s: Sequence[float]
    engine_tokens_per_s: Sequence[float]

    @property
    def first_token_ratio(self) -> float:
        """Time to first token through the mesh over that of the engine: median over the pairs."""
        return median(m / e for m, e in zip(self.mesh_first_s, self.engine_first_s, strict=True))
