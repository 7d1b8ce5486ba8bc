"""How busy this process is: counted by the interceptor, told by InstanceService and the metrics page."""

from dataclasses import dataclass

from prometheus_client import Gauge, Histogram

from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S

RPC_SECONDS = Histogram(
    "ragmesh_rpc_seconds", "Duration of a handled call", ["method", "code"], buckets=LATENCY_BUCKETS_S
)
RPC_IN_FLIGHT = Gauge("ragmesh_rpc_in_flight", "Calls being handled")

SERVER_FAULTS = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"})


@dataclass(slots=True)
class Load:
    """Calls of this process since it started."""

    in_flight: int = 0
    requests: int = 0
    failures: int = 0  # through no fault of the caller

    def begin(self) -> None:
        """Counts a call that is being handled from now on."""
        self.enter()
        RPC_IN_FLIGHT.set(self.in_flight)

    def end(self, method: str, code: str, seconds: float) -> None:
        """Counts its end, with the name of its status."""
        self.leave(failed=code in SERVER_FAULTS)
        RPC_IN_FLIGHT.set(self.in_flight)
        RPC_SECONDS.labels(method, code).observe(seconds)

    def enter(self) -> None:
        """Counts a piece of work that is no call of gRPC: the edge's requests."""
        self.in_flight += 1

    def leave(self, *, failed: bool) -> None:
        """Counts its end."""
        self.in_flight -= 1
        self.requests += 1
        self.failures += failed
