"""The query service's process: `python -m svc_query`."""

from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import run, serving
from ragmesh.storage.cache.memory import MemoryCache
from ragmesh.storage.cache.redis import RedisCache
from ragmesh.storage.redis import open_redis
from ragmesh.storage.vectors.milvus import MilvusVectors
from svc_query.answers import Answers
from svc_query.documents import RemoteDocuments
from svc_query.flight import Unshared
from svc_query.lookups import CachedEmbedder
from svc_query.passages import Passages
from svc_query.redis_flights import RedisFlights
from svc_query.retrieve import Retriever
from svc_query.service import QueryServicer
from svc_query.suggest import Suggester


async def main(live: Live) -> None:
    """Builds the adapters, wires them, serves until it is asked to stop."""
    settings = live.now
    async with (
        open_redis(settings) as redis,
        TritonEmbedder(settings.triton_url) as embedder,
        TritonLanguageModel(settings.triton_url, timeout_s=settings.answer_timeout_s) as llm,
        MilvusVectors(settings.milvus_uri, settings.milvus_token.get_secret_value(), embedder.info) as vectors,
        connect(settings, "document") as channel,
    ):
        cache = RedisCache(redis) if redis else MemoryCache(settings.cache_max_bytes)
        documents = RemoteDocuments(channel)
        cached = CachedEmbedder(embedder, cache, settings.cache_ttl_s)
        async with Retriever(cached, vectors, documents) as retriever:
            answers = Answers(
                retriever,
                llm,
                embedder=embedder.info,
                documents=documents,
                cache=cache,
                shared=RedisFlights(redis) if redis else Unshared(),
                live=live,
            )
            servicer = QueryServicer(
                retriever,
                answers,
                Suggester(retriever, vectors, documents),
                Passages(vectors, documents),
                embedder,
                live=live,
            )
            async with serving("query", [servicer], live, pressure=lambda: servicer.pressure) as running:
                await running.stopped()


if __name__ == "__main__":
    run("query", main)
