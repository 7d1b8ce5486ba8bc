"""Search: HTTP edge, gateway, query service, Triton and Milvus, beside Triton's embedder and Milvus alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bench.corpus import Question
from bench.edge import Edge
from bench.engines import Engines
from bench.load import Comparison, Sample, closed_loop, compare
from ragmesh.inference.port import Role
from ragmesh.storage.vectors.port import Scope

TOP_K = 8
CANDIDATES = 32  # of each side, about what the query service asks for


async def beside_embedder(
    edge: Edge, engines: Engines, collection: str, questions: Sequence[Question], *, clients: int, rounds: int
) -> Comparison:
    """Throughput of searches beside that of the embedder alone, at so many clients."""
    batches = _batches(questions, rounds)

    async def embed(question: Question) -> None:
        await engines.embedder.embed([question.text], Role.QUERY)

    async def mesh(number: int) -> Sample:
        return await closed_loop(_searching(edge, collection), batches[number], clients)

    async def engine(number: int) -> Sample:
        return await closed_loop(embed, batches[number], clients)

    return await compare(mesh, engine, rounds)


async def beside_embedder_and_milvus(
    edge: Edge, engines: Engines, collection: str, questions: Sequence[Question], *, rounds: int
) -> Comparison:
    """Latency of searches at one client beside embedding and searching both indexes without the mesh."""
    batches = _batches(questions, rounds)
    scope = Scope((await edge.json("GET", f"/v1/collections/{collection}"))["id"])

    async def bare(question: Question) -> None:
        vectors = await engines.embedder.embed([question.text], Role.QUERY)
        await asyncio.gather(
            engines.vectors.search_dense(scope, vectors, CANDIDATES),
            engines.vectors.search_sparse(scope, [question.text], CANDIDATES),
        )

    async def mesh(number: int) -> Sample:
        return await closed_loop(_searching(edge, collection), batches[number], clients=1)

    async def engine(number: int) -> Sample:
        return await closed_loop(bare, batches[number], clients=1)

    return await compare(mesh, engine, rounds)


def _searching(edge: Edge, collection: str) -> Callable[[Question], Awaitable[None]]:
    async def search(question: Question) -> None:
        if not await edge.search(collection, question.text, top_k=TOP_K):
            raise RuntimeError(f"nothing found for {question.text!r}")

    return search


def _batches(questions: Sequence[Question], rounds: int) -> list[Sequence[Question]]:
    """Other questions for each round, the warm-up among them: a repeated one would be answered from the cache."""
    size = len(questions) // (rounds + 1)
    return [questions[number * size : (number + 1) * size] for number in range(rounds + 1)]
