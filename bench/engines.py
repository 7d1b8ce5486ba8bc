"""The bare engines behind the mesh, called as directly as their clients allow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.settings import Settings
from ragmesh.storage.vectors.milvus import MilvusVectors


@dataclass(frozen=True, slots=True)
class Engines:
    """Triton's two models, and Milvus."""

    embedder: TritonEmbedder
    llm: TritonLanguageModel
    vectors: MilvusVectors


@asynccontextmanager
async def engines(settings: Settings) -> AsyncIterator[Engines]:
    """Connects to the servers that the settings name."""
    async with (
        TritonEmbedder(settings.triton_url, settings.embedding) as embedder,
        TritonLanguageModel(settings.triton_url, settings.llm_model) as llm,
        MilvusVectors(settings.milvus_uri, settings.milvus_token.get_secret_value(), embedder.info) as vectors,
    ):
        yield Engines(embedder, llm, vectors)
