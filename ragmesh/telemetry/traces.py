"""Traces: OpenTelemetry spans, sent over OTLP where an endpoint is set."""

from collections.abc import Mapping

from opentelemetry import context, propagate, trace

from ragmesh.settings import Settings

tracer = trace.get_tracer("ragmesh")


def configure(settings: Settings, service: str) -> None:
    """Sends spans to `otlp_endpoint`. Without one, spans cost next to nothing and go nowhere."""
    if not settings.otlp_endpoint:
        return
    # Of services alone: clients have the API, which carries their application's trace, and nothing that exports.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"ragmesh-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    trace.set_tracer_provider(provider)


def begin_server_span(name: str, carrier: Mapping[str, str]) -> trace.Span:
    """Starts the span of a call that came in, below the caller's, and makes it current in this task.

    It stays current until the task ends: each call has a task of its own, and a generator that is closed from
    elsewhere could not restore the context it found.
    """
    span = tracer.start_span(name, propagate.extract(carrier), trace.SpanKind.SERVER)
    context.attach(trace.set_span_in_context(span))
    return span


def carrier() -> dict[str, str]:
    """The current trace context as W3C headers; empty outside a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
