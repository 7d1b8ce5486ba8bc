"""Closed-loop load: so many clients, each sending its next request when the last one has answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a load saw."""

    clients: int
    seconds: float
    latencies_s: Sequence[float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies_s) / self.seconds

    @property
    def p50_ms(self) -> float:
        return median(self.latencies_s) * 1e3

    @property
    def p95_ms(self) -> float:
        return quantiles(self.latencies_s, n=20, method="inclusive")[-1] * 1e3


async def closed_loop(request: Callable[[T], Awaitable[object]], items: Iterable[T], clients: int) -> Sample:
    """Sends every item once. A request that fails ends the run with its exception: a bench of errors is none."""
    queue = iter(items)
    latencies: list[float] = []

    async def client() -> None:
        for item in queue:
            began = time.perf_counter()
            await request(item)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return Sample(clients, time.perf_counter() - began, latencies)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs of two loads in turn, A B A B …, so that a machine that changes its speed changes it for both."""

    mesh: Sequence[Sample]
    engine: Sequence[Sample]

    @property
    def rate_ratio(self) -> float:
        """The mesh's rate as a share of the engine's: median over the pairs."""
        return median(m.rate / e.rate for m, e in zip(self.mesh, self.engine, strict=True))

    @property
    def p50_ratio(self) -> float:
        """The mesh's median latency over the engine's: median over the pairs."""
        return median(m.p50_ms / e.p50_ms for m, e in zip(self.mesh, self.engine, strict=True))

    @property
    def p50_added_ms(self) -> float:
        """Median latency that the mesh adds: median over the pairs."""
        return median(m.p50_ms - e.p50_ms for m, e in zip(self.mesh, self.engine, strict=True))


async def compare(
    mesh: Callable[[int], Awaitable[Sample]], engine: Callable[[int], Awaitable[Sample]], rounds: int
) -> Comparison:
    """Runs both in turn, after a warm-up round of each that is not counted. They are told the round's number."""
    pairs = [(await mesh(number), await engine(number)) for number in range(rounds + 1)]
    return Comparison([m for m, _ in pairs[1:]], [e for _, e in pairs[1:]])


def middle(samples: Sequence[Sample]) -> Sample:
    """The sample with the median rate."""
    return sorted(samples, key=lambda sample: sample.rate)[len(samples) // 2]
