"""Errors as HTTP answers: problem+json (RFC 9457), and OpenAI's error object on the routes that are OpenAI's."""

import math
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from pydantic_core import to_json

from ragmesh.errors import Internal, MeshError
from ragmesh.rpc.context import request_id

log = structlog.get_logger()

STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
RETRY_AFTER_S = 1.0  # for what is worth trying again, where nobody knows better
CHALLENGES = {  # RFC 6750
    401: 'Bearer realm="ragmesh"',
    403: 'Bearer realm="ragmesh", error="insufficient_scope"',
}
OPENAI_ROUTES = ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/rerank")


class HttpProblem(Exception):
    """A fault of HTTP itself, with a status that gRPC has no name for."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def unforeseen(request: web.Request, error: Exception) -> Internal:
    """What a client hears of a fault of ours; the log has the rest."""
    log.error("http.failed", path=request.path, exc_info=error)
    return Internal(f"internal error; the log has it under request {request_id()}")


def of_error(request: web.Request, error: MeshError) -> web.Response:
    """The answer to a request that a service refused."""
    retry_s = error.retry_after_s or (RETRY_AFTER_S if error.retriable else None)
    return problem(request, STATUS[error.code], error.message, code=error.code, field=error.field, retry_s=retry_s)


def problem(
    request: web.Request,
    status: int,
    detail: str,
    *,
    code: str = "",
    field: str | None = None,
    retry_s: float | None = None,
) -> web.Response:
    """An error as the route's clients expect it."""
    headers = {"Retry-After": str(math.ceil(retry_s))} if retry_s else {}
    if status in CHALLENGES:
        headers["WWW-Authenticate"] = CHALLENGES[status]
    if request.path.startswith(OPENAI_ROUTES):
        return web.Response(
            status=status,
            text=dumps(_openai(status, detail, code, field)),
            content_type="application/json",
            headers=headers,
        )
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id(),
    }
    if code:
        body["code"] = code
    if field:
        body["field"] = field
    return web.Response(status=status, text=dumps(body), content_type="application/problem+json", headers=headers)


def dumps(content: Any) -> str:
    """JSON without needless bytes."""
    return to_json(content).decode()


def openai_error(error: MeshError) -> dict[str, Any]:
    """An error as OpenAI's API tells it."""
    return _openai(STATUS[error.code], error.message, error.code, error.field)


def _openai(status: int, detail: str, code: str, field: str | None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    known = "model_not_found" if (code, field) == ("NOT_FOUND", "model") else code.lower()
    return {"error": {"message": detail, "type": kind, "param": field, "code": known or None}}
