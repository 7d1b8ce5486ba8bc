"""Where the time of a search or an answer went, stage by stage: told to who asked, and counted.

    told(Timings(embed_s=0.0041, total_s=0.0112))   # "embed;dur=4.1, total;dur=11.2"

Trailing metadata of a call has it under `ragmesh-timings`, in the syntax of W3C Server Timing: the name of each
stage that ran, and its milliseconds.
"""

from dataclasses import dataclass, fields
from typing import Literal

from prometheus_client import Histogram

from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S

TIMINGS_KEY = "ragmesh-timings"

_STAGE_SECONDS = {
    work: Histogram(
        f"ragmesh_{work}_stage_seconds", f"Duration of each stage of {text}", ["stage"], buckets=LATENCY_BUCKETS_S
    )
    for work, text in (("search", "a search"), ("answer", "an answer"))
}


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each stage, in the order in which they run; a stage that did not run is 0."""

    queue_s: float = 0.0  # waiting for a call that is shared with others to begin
    embed_s: float = 0.0
    search_s: float = 0.0
    rerank_s: float = 0.0
    prompt_s: float = 0.0  # deciding what the model reads
    first_token_s: float = 0.0  # from the model's call; in it, waiting for a slot of the model
    generate_s: float = 0.0  # from the model's call to its last token
    total_s: float = 0.0

    def ran(self) -> dict[str, float]:
        """Seconds of the stages that ran, by name."""
        seconds = {field.name.removesuffix("_s"): getattr(self, field.name) for field in fields(self)}
        return {stage: value for stage, value in seconds.items() if value}


def told(timings: Timings) -> str:
    """The stages as a line of text."""
    return ", ".join(f"{stage};dur={seconds * 1e3:.1f}" for stage, seconds in timings.ran().items())


def observe(work: Literal["search", "answer"], timings: Timings) -> None:
    """Counts the stages that ran."""
    for stage, seconds in timings.ran().items():
        _STAGE_SECONDS[work].labels(stage).observe(seconds)
