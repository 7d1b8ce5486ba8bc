"""Metrics: the page of this process. A metric is declared in the module that moves it."""

from prometheus_client import start_http_server

from ragmesh.settings import Settings

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def serve(settings: Settings) -> None:
    """Serves the Prometheus page on `metrics_listen`, from a thread of its own; on nothing when that is empty."""
    if settings.metrics_listen:
        host, _, port = settings.metrics_listen.rpartition(":")
        start_http_server(int(port), host)
