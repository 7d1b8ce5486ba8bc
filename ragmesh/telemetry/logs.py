"""Logs: one event a line, JSON in production and readable on a terminal.

    log = structlog.get_logger()
    log.info("document.indexed", document_id=id, chunks=12)

Every line carries the service, and inside a call its request id, tenant and trace id. Events are named, not told in
sentences; document text and secrets never go into a log, nor do the variables of a traceback's frames.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from opentelemetry import trace
from pydantic_core import to_json
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, WrappedLogger

from ragmesh.settings import Settings

LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()} | {
    "exception": logging.ERROR
}
_process: dict[str, str] = {}
_call: Callable[[], Mapping[str, str]] = dict


def configure(settings: Settings) -> None:
    """Sets up structlog on standard error, and the standard library's logging to look alike.

    Our own lines do not go through the standard library, which would take most of the time of a line.
    """
    readable = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_process,
        _name_call,
        _name_trace,
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=False))]
        if readable
        else [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(_json),
        ]
    )
    structlog.configure(
        processors=[_drop_below_level, *shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG
        ),  # the level may change: `_drop_below_level` looks
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for chatty in ("aiosqlite", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def configure_library() -> None:
    """Hands events to the standard library's logging, for an application that has not set up structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def set_level(level: str) -> None:
    """Logs from this level on, at once."""
    logging.getLogger().setLevel(level)


def name_process(service: str) -> None:
    """Puts the service's name on every further line."""
    _process["service"] = service


def name_calls_by(names: Callable[[], Mapping[str, str]]) -> None:
    """Puts what `names` tells of the call that is being handled on every further line."""
    global _call  # noqa: PLW0603 a process has one notion of a call
    _call = names


def _drop_below_level(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if LEVELS[method] < logging.getLogger().level:
        raise structlog.DropEvent
    return event


def _name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**event, **_process}


def _name_call(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**_call(), **event}


def _name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
    return event


def _json(event: EventDict, *, default: Callable[[Any], Any]) -> str:
    return to_json(event, fallback=default).decode()
