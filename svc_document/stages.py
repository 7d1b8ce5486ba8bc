"""The steps of ingestion, timed, and their faults judged by whether another try can help."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Histogram

from ragmesh.errors import MeshError
from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S
from svc_document.model import Failure, IngestError, Stage
from svc_document.parse.document import ParseError

STAGE_SECONDS = Histogram(
    "ragmesh_ingest_stage_seconds", "Time of a step of ingestion", ["stage"], buckets=LATENCY_BUCKETS_S
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a transient fault is retried."""

    attempts: int  # the first try included
    first_delay_s: float
    max_delay_s: float

    def delay_s(self, attempt: int) -> float:
        """After the given attempt, counted from 1: exponential, and half of it random."""
        delay = min(self.max_delay_s, self.first_delay_s * 2.0 ** min(attempt - 1, 30))
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 no secret


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Times a step, and raises IngestError in the place of a fault that is understood."""
    begun = time.perf_counter()
    try:
        yield
    except ParseError as error:
        raise IngestError(Failure(name, error.code, error.message, retriable=False)) from error
    except MeshError as error:
        code = f"{name}_{error.code}".lower()
        raise IngestError(Failure(name, code, error.message, error.retriable)) from error
    finally:
        STAGE_SECONDS.labels(name.lower()).observe(time.perf_counter() - begun)
