"""`python -m bench.overhead`: what the edge costs, HTTP through it beside the same gRPC call made directly.

Both are called by the same process of clients and take turns in one run, after a round that is not counted: before
a whole mesh, whose models bite, and before a stand-in for the query service that costs next to nothing, so that the
edge is what is measured. `--page` writes the tables into a page, between its markers.
"""

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any, Literal

import typer
import uvloop

from bench.caller import SIDES, Caller, Job, Outcome, Side
from bench.scripted import PACED
from bench.site import Site, scripted, whole_mesh

ROUNDS = 5
PERCENTILES = (50, 95, 99)
SITES: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Site]]] = {
    "scripted": scripted,
    "mesh": whole_mesh,
}
BEGIN, END = "<!-- figures of bench.overhead -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked in one turn of a round."""

    name: str
    kind: Literal["search", "stream"]
    collection: str
    clients: int
    requests: int

    def scaled(self, share: float) -> "Load":
        """A smaller one, of at least one request a client."""
        requests = max(self.clients, int(self.requests * share))
        return Load(self.name, self.kind, self.collection, self.clients, requests)


LOADS: Mapping[str, Sequence[Load]] = {
    "scripted": (
        Load("search", "search", "bench", 1, 400),
        Load("search", "search", "bench", 8, 800),
        Load("search", "search", "bench", 64, 2000),
        Load("stream at once", "stream", "bench", 1, 20),
        Load("stream at once", "stream", "bench", 64, 192),
        Load("stream, 50 tokens/s", "stream", PACED, 1, 1),
        Load("stream, 50 tokens/s", "stream", PACED, 64, 64),
    ),
    "mesh": (
        Load("search", "search", "bench", 1, 100),
        Load("search", "search", "bench", 8, 200),
        Load("search", "search", "bench", 64, 640),
        Load("stream of the model", "stream", "bench", 1, 2),
    ),
}


@dataclass(slots=True)
class Measured:
    """The rounds of one load, of each side."""

    load: Load
    outcomes: Mapping[Side, list[Outcome]] = field(
        default_factory=lambda: {side: list[Outcome]() for side in SIDES}
    )
    cpu_s: Mapping[Side, list[Mapping[str, float]]] = field(
        default_factory=lambda: {side: list[Mapping[str, float]]() for side in SIDES}
    )

    def latency_ms(self, side: Side, *, first: bool = False) -> list[float]:
        """Percentiles over all rounds: to the end of an answer, or to its first token."""
        seconds = [
            s for outcome in self.outcomes[side] for s in (outcome.first_s if first else outcome.latencies_s)
        ]
        cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
        return [cuts[percentile - 1] * 1e3 for percentile in PERCENTILES]

    def added_ms(self, *, first: bool = False) -> list[float]:
        """What the edge adds at each percentile."""
        edge, direct = (self.latency_ms(side, first=first) for side in ("edge", "direct"))
        return [e - d for e, d in zip(edge, direct, strict=True)]

    def rate(self, side: Side) -> float:
        """Searches, or tokens, per second: the median round."""
        return median(map(_rate, self.outcomes[side]))

    @property
    def rate_ratio(self) -> float:
        """The rate through the edge as a share of the direct one: median over the pairs."""
        pairs = zip(self.outcomes["edge"], self.outcomes["direct"], strict=True)
        return median(_rate(edge) / _rate(direct) for edge, direct in pairs)

    def cpu_ms(self, side: Side) -> dict[str, float]:
        """Processor milliseconds a request of each process: median over the rounds."""
        spent = self.cpu_s[side]
        return {name: median(each[name] for each in spent) / self.load.requests * 1e3 for name in spent[0]}

    def figures(self) -> dict[str, Any]:
        """All of it, for programs."""
        timed = [False, True] if self.load.kind == "stream" else [False]
        return {
            "load": self.load.name,
            "clients": self.load.clients,
            "rate": {side: self.rate(side) for side in SIDES},
            "rate_ratio": self.rate_ratio,
            "cpu_ms": {side: self.cpu_ms(side) for side in SIDES},
            **{
                "first_token_ms" if first else "latency_ms": {
                    **{side: self.latency_ms(side, first=first) for side in SIDES},
                    "added": self.added_ms(first=first),
                }
                for first in timed
            },
        }


def main(
    site: Annotated[list[str] | None, typer.Option(help="scripted, mesh; may be repeated")] = None,
    rounds: Annotated[int, typer.Option(help="counted rounds")] = ROUNDS,
    share: Annotated[float, typer.Option(help="share of each round's requests to make")] = 1.0,
    json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
    page: Annotated[Path | None, typer.Option(help="page to write the tables into")] = None,
) -> None:
    """Measures the edge beside direct calls. The machine should do nothing else meanwhile."""
    measured: dict[str, list[Measured]] = {}
    for name in site or SITES:
        with tempfile.TemporaryDirectory() as folder:
            loads = [load.scaled(share) for load in LOADS[name]]
            measured[name] = uvloop.run(measure(SITES[name](Path(folder)), loads, rounds))
        print(tables_of(name, measured[name]))
    if json_:
        figures = {name: [each.figures() for each in results] for name, results in measured.items()}
        json_.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if page:
        write_into(page, "\n\n".join(tables_of(name, results) for name, results in measured.items()))


async def measure(opening: AbstractAsyncContextManager[Site], loads: Sequence[Load], rounds: int) -> list[Measured]:
    """Each load from both sides in turn, round after round; the first round is not counted."""
    async with opening as site, Caller.of(site.edge_url, site.query_address) as caller:
        measured = [Measured(load) for load in loads]
        for number in range(rounds + 1):
            for result in measured:
                for side in SIDES:
                    await _turn(site, caller, result if number else Measured(result.load), side)
            print(f"{site.name}: round {number} of {rounds}")
        return measured


async def _turn(site: Site, caller: Caller, result: Measured, side: Side) -> None:
    load = result.load
    before = site.cpu_s()
    outcome = await caller.run(Job(side, load.kind, load.collection, load.clients, load.requests))
    after = site.cpu_s()
    result.outcomes[side].append(outcome)
    result.cpu_s[side].append({"clients": outcome.cpu_s} | {name: after[name] - before[name] for name in after})


def _rate(outcome: Outcome) -> float:
    return (outcome.tokens or len(outcome.latencies_s)) / outcome.seconds


def tables_of(site: str, measured: Sequence[Measured]) -> str:
    """What was measured there, in Markdown."""
    latencies = [
        ["load", "clients", "", "direct p50 / p95 / p99", "through the edge", "added"],
        *(
            [
                *(result.load.name, f"{result.load.clients}", "first token, ms" if first else "whole, ms"),
                *(_slashed(result.latency_ms(side, first=first)) for side in SIDES),
                _slashed(result.added_ms(first=first)),
            ]
            for result in measured
            for first in ([True, False] if result.load.kind == "stream" else [False])
        ),
    ]
    rates = [
        ["load", "clients", "direct", "through the edge", "ratio", "CPU ms a request, direct", "through the edge"],
        *(
            [
                *(result.load.name, f"{result.load.clients}"),
                *(f"{result.rate(side):,.0f} {_unit(result.load)}" for side in SIDES),
                f"{result.rate_ratio:.2f}",
                *(_spent(result.cpu_ms(side)) for side in SIDES),
            ]
            for result in measured
        ),
    ]
    return f"### {site}\n\n{_markdown(latencies)}\n\n{_markdown(rates)}"


def _unit(load: Load) -> str:
    return "tokens/s" if load.kind == "stream" else "searches/s"


def _slashed(milliseconds: Sequence[float]) -> str:
    return " / ".join(f"{each:.1f}" for each in milliseconds)


def _spent(cpu_ms: Mapping[str, float]) -> str:
    """The processes that spent anything worth telling."""
    return ", ".join(f"{name} {ms:.2f}" for name, ms in cpu_ms.items() if ms > 0.05)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def write_into(page: Path, tables: str) -> None:
    """Puts the tables between the page's markers."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    page.write_text(between.sub(lambda _: f"{BEGIN}\n\n{tables}\n\n{END}", text), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
