"""What every request goes through: a request id, errors as problems, metrics, a line in the log."""

import re
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry import trace
from prometheus_client import Gauge, Histogram

from gateway.caller import CALLER
from gateway.headers import GIVEN_ID, RESPONSE
from gateway.pace import SlowBody
from gateway.problem import HttpProblem, of_error, problem, unforeseen
from ragmesh.errors import InvalidArgument, MeshError
from ragmesh.rpc import context as calls
from ragmesh.rpc.load import Load
from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S
from ragmesh.telemetry.traces import begin_server_span

log = structlog.get_logger()

HTTP_SECONDS = Histogram(
    "ragmesh_http_seconds", "Duration of a request", ["route", "method", "status"], buckets=LATENCY_BUCKETS_S
)
HTTP_IN_FLIGHT = Gauge("ragmesh_http_in_flight", "Requests being handled")
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
TIMEOUT_KEY = "x-request-timeout-ms"
MILLISECONDS = re.compile(r"[1-9][0-9]{0,7}")
CLIENT_LEFT = 499
LOAD = web.AppKey("load", Load)


@web.middleware
async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Binds the request's id, and tells logs, metrics and traces of it."""
    given = request.headers.get(calls.REQUEST_ID_KEY, "")
    request_id = given if REQUEST_ID.fullmatch(given) else calls.new_request_id()
    request[GIVEN_ID] = request_id
    route = request.match_info.route.resource.canonical if request.match_info.route.resource else "unknown"
    span = begin_server_span(f"{request.method} {route}", request.headers)
    began, status = time.perf_counter(), CLIENT_LEFT
    HTTP_IN_FLIGHT.inc()
    load = request.app[LOAD]
    load.enter()
    with calls.bound(request_id=request_id):
        try:
            response = request[RESPONSE] = await _answered(request, handler)
            status = response.status
            return response
        finally:
            seconds = time.perf_counter() - began
            HTTP_IN_FLIGHT.dec()
            load.leave(failed=status >= 500 and route != "/readyz")  # that it is not ready is an answer
            HTTP_SECONDS.labels(route, request.method, status).observe(seconds)
            _end(span, status)
            _log_access(request, route, status, seconds)


def _log_access(request: web.Request, route: str, status: int, seconds: float) -> None:
    """One line, with nothing in it that a caller may have put there: the route's pattern, not the address."""
    who = {"tenant": request[CALLER].tenant, "subject": request[CALLER].subject} if CALLER in request else {}
    log.info(
        "http.done",
        method=request.method,
        route=route,
        status=status,
        seconds=round(seconds, 4),
        bytes=_sent_bytes(request),
        **who,
    )


def _sent_bytes(request: web.Request) -> int:
    """What a response had, or had of it until its reader left."""
    response = request.get(RESPONSE)
    if isinstance(response, web.Response):
        return response.content_length or 0
    return response.body_length if response else 0


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, or the problem that it ran into."""
    try:
        return await _in_time(request, handler)
    except MeshError as error:
        return of_error(request, error)
    except HttpProblem as error:
        return problem(request, error.status, error.detail)
    except web.HTTPException as error:
        refused = problem(request, error.status, _explained(request, error))
        if allowed := error.headers.get("Allow"):
            refused.headers["Allow"] = allowed
        return refused
    except web.RequestPayloadError as error:
        status = 408 if isinstance(error, SlowBody) else 400
        unreadable = problem(request, status, f"the body can't be read: {error}")
        unreadable.force_close()  # where the next request would begin is not known
        return unreadable
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 it is logged once, and told as a fault of ours
        return of_error(request, unforeseen(request, error))


async def _in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, its calls within the time that the caller gives, if it gives one."""
    given = request.headers.get(TIMEOUT_KEY)
    if given is None:
        return await handler(request)
    if not MILLISECONDS.fullmatch(given):
        raise InvalidArgument(f"{TIMEOUT_KEY} is {given[:64]!r}; it must be milliseconds", field=TIMEOUT_KEY)
    with calls.bound(request_id=calls.request_id(), timeout_s=int(given) / 1000):
        return await handler(request)


def _explained(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {error.method}"
    if isinstance(error, web.HTTPNotFound):
        return f"there is no route {request.path}: /docs lists them"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "the body is too large: JSON bodies may have 1 MiB"
    return error.reason


def _end(span: trace.Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
    span.end()
