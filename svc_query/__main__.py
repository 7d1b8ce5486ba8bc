"""The query service's process: `python -m svc_query`."""

from ragmesh.inference.port import LanguageModel
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live, open_config
from ragmesh.rpc.config.switch import Switch
from ragmesh.rpc.server import run, serving
from ragmesh.storage.cache.memory import MemoryCache
from ragmesh.storage.cache.redis import RedisCache
from ragmesh.storage.redis import open_redis
from ragmesh.storage.vectors.spaces import Spaces
from svc_query.answers import Answers
from svc_query.documents import RemoteDocuments
from svc_query.flight import Unshared
from svc_query.index import Indexes
from svc_query.models import LanguageModels, chosen
from svc_query.redis_flights import RedisFlights
from svc_query.service import QueryServicer


async def main(live: Live) -> None:
    """Builds the adapters, wires them, serves until it is asked to stop."""
    settings = live.now
    async with (
        open_redis(settings) as redis,
        connect(settings, "document") as channel,
        Spaces(settings) as spaces,
        LanguageModels(settings, open_config(settings)) as models,
    ):
        cache = RedisCache(redis) if redis else MemoryCache(settings.cache_max_bytes)
        documents = RemoteDocuments(channel)
        async with (
            Indexes(spaces, documents, cache, settings.cache_ttl_s) as indexes,
            Switch(live, lambda now: now.embedding, indexes.open) as index,
            Switch(live, chosen, models.choose) as llm,
        ):

            def model() -> LanguageModel:
                return llm.now()

            answers = Answers(
                lambda: index.now.retriever,
                model,
                documents=documents,
                cache=cache,
                shared=RedisFlights(redis) if redis else Unshared(),
                live=live,
            )
            servicer = QueryServicer(lambda: index.now, answers, live=live)
            async with serving("query", [servicer], live, pressure=lambda: servicer.pressure) as running:
                await running.stopped()


if __name__ == "__main__":
    run("query", main)
