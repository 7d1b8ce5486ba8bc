"""The OpenAPI description, out of the routes and the models of their bodies."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from gateway.access import NEEDS, NOTHING, Need
from gateway.models import COLLECTION_NAME
from gateway.paging import PAGE_SIZE_MAX, STATES
from gateway.problem import is_openai
from ragmesh.access import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])

OPERATION = "__operation__"
DESCRIPTION = web.AppKey("description", Callable[[], str])  # pyright: ignore[reportArgumentType] a shape of functions
SCHEMAS = "#/components/schemas/{model}"
RESPONSES = "#/components/responses/{name}"
TEXT = {"type": "string"}
PATH: Mapping[str, Any] = {
    "collection": {"type": "string", "pattern": COLLECTION_NAME},
    "key_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "id": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
}
HEADERS: Mapping[str, Any] = {
    "Idempotency-Key": {
        "type": "string",
        "maxLength": 255,
        "description": "yours for this upload: sent again with the same name and bytes, it is the same upload",
    },
    "Last-Event-ID": {"type": "string", "description": "the id of the last event that you have seen"},
}
QUERY: Mapping[str, Any] = {
    "page_size": {"type": "integer", "minimum": 0, "maximum": PAGE_SIZE_MAX},
    "page": {"type": "integer", "minimum": 0},
    "wait": {"type": "boolean"},
    "state": {"type": "string", "enum": list(STATES)},
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a token of the issuer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "an API key"},
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, and what would be right"},
        "code": {"type": "string", "description": "name of the gRPC status"},
        "field": {"type": "string", "description": "the argument at fault"},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}
OPENAI_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "as OpenAI's API tells errors",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string", "description": "what was wrong, and what would be right"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "the argument at fault"},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}

# What may become of a request, whatever it asks for; the more so of one that names something, sends or changes it.
ALWAYS = {
    400: "the request is wrong: `detail` says what would be right",
    401: "no credential, or one that is not known",
    403: "the credential does not allow this",
    429: "a limit is reached: come back after `Retry-After` seconds",
    500: "a fault of ours: the log has it under the request's id",
    501: "not in this version",
    503: "a part is away: come back after `Retry-After` seconds",
    504: "it took longer than it may",
}
NAMING = {404: "there is no such thing"}
SENDING = {
    404: "there is no such thing",
    408: "the body came too slowly, or not to its end",
    413: "the body is too large",
    415: "the body is of another type than this takes",
}
CHANGING = {409: "what is there already stands against it"}
WHY: Mapping[int, str] = ALWAYS | NAMING | SENDING | CHANGING
RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
RETRIABLE = (429, 503)
PROBLEMS = {"Problem": "application/problem+json", "OpenAIProblem": "application/json"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does, for people."""

    summary: str
    answer: type | None = None  # one of `shapes`; None for what is not JSON
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    status: int = 200
    upload: bool = False
    media: str = ""  # what else it may answer with
    needs: Need | None = None  # what a caller must have; a route that does not say so is for admins
    also: tuple[int, ...] = ()  # other statuses with the same answer


def documented(operation: Operation) -> Callable[[Handler], Handler]:
    """Puts a route into the description."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, OPERATION, operation)
        setattr(handler, NEEDS, operation.needs)
        return handler

    return mark


def describe(app: web.Application) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application's documented routes."""
    operations = {
        (_path(route), route.method.lower()): getattr(route.handler, OPERATION)
        for route in app.router.routes()
        if hasattr(route.handler, OPERATION) and route.method != "HEAD"
    }
    named = {kind for each in operations.values() for kind in (each.answer, each.body) if kind}
    _, schemas = TypeAdapter.json_schemas(
        [(kind, "validation", TypeAdapter(kind)) for kind in sorted(named, key=lambda kind: kind.__name__)],
        ref_template=SCHEMAS,
    )
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in sorted(operations.items()):
        paths.setdefault(path, {})[method] = _operation(path, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ragmesh", "version": version("ragmesh"), "description": "Answers from your documents."},
        "paths": paths,
        "components": {
            "schemas": {
                **schemas.get("$defs", {}),
                "Problem": PROBLEM_SCHEMA,
                "OpenAIProblem": OPENAI_PROBLEM_SCHEMA,
            },
            "responses": {
                f"{model}{status}": _problem(status, media, model)
                for model, media in PROBLEMS.items()
                for status in WHY
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operation(path: str, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method}{re.sub(r'[^a-z]+', '_', path)}".rstrip("_"),
        "summary": operation.summary,
        "parameters": _parameters(path, operation),
        "responses": _responses(path, method, operation),
    }
    if operation.needs != NOTHING:
        needed = [operation.needs or Scope.ADMIN]
        described["security"] = [{name: needed} for name in SECURITY_SCHEMES]
    if body := _body(operation):
        described["requestBody"] = {"required": True, "content": body}
    return described


def _responses(path: str, method: str, operation: Operation) -> dict[str, Any]:
    """Everything that it may answer with, done or not."""
    kind = "OpenAIProblem" if is_openai(path) else "Problem"
    problems = {
        str(status): {"$ref": RESPONSES.format(name=f"{kind}{status}")}
        for status in sorted(_problems(path, method, operation))
    }
    done = {"description": "done", **_content(operation)}
    answers = {str(status): done for status in (operation.status, *operation.also)}
    return problems | answers | ({"204": {"description": "nothing"}} if "204" in answers else {})


def _problems(path: str, method: str, operation: Operation) -> set[int]:
    statuses = set(ALWAYS)
    if "{" in path:
        statuses |= set(NAMING)
    if operation.body or operation.upload:
        statuses |= set(SENDING)
    if method != "get":
        statuses |= set(CHANGING)
    return statuses


def _problem(status: int, media: str, model: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": WHY[status],
        "content": {media: {"schema": {"$ref": SCHEMAS.format(model=model)}}},
    }
    if status in RETRIABLE:
        described["headers"] = RETRY_AFTER
    return described


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": PATH.get(name, TEXT)}
        for name in re.findall(r"{(\w+)}", path)
    ]
    in_query = [{"name": name, "in": "query", "schema": QUERY.get(name, TEXT)} for name in operation.query]
    return (
        in_path + in_query + [{"name": name, "in": "header", "schema": HEADERS[name]} for name in operation.headers]
    )


def _content(operation: Operation) -> Mapping[str, Any]:
    content: dict[str, Any] = {operation.media: {}} if operation.media else {}
    if operation.answer:
        content["application/json"] = {"schema": _reference(operation.answer)}
    return {"content": content} if content else {}


def _body(operation: Operation) -> Mapping[str, Any]:
    if operation.body:
        return {"application/json": {"schema": _reference(operation.body)}}
    if not operation.upload:
        return {}
    binary = {"type": "string", "format": "binary"}
    metadata = {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9_]{1,64}$"},
        "additionalProperties": {"type": "string", "maxLength": 1024},
        "maxProperties": 32,
    }
    form = {"type": "object", "properties": {"metadata": metadata, "file": binary}, "required": ["file"]}
    return {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": binary}}


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": SCHEMAS.format(model=kind.__name__)}


def _path(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource else ""
