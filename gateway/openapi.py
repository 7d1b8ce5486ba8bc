"""The OpenAPI description, out of the routes and the models of their bodies."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

Handler = TypeVar("Handler", bound=Callable[..., Any])

OPERATION = "__operation__"
SCHEMAS = "#/components/schemas/{model}"
PROBLEM = {"application/problem+json": {"schema": {"$ref": SCHEMAS.format(model="Problem")}}}
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


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does, for people."""

    summary: str
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    status: int = 200
    upload: bool = False
    streams: bool = False


def documented(operation: Operation) -> Callable[[Handler], Handler]:
    """Puts a route into the description."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, OPERATION, operation)
        return handler

    return mark


def describe(app: web.Application) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application's documented routes."""
    operations = {
        (_path(route), route.method.lower()): getattr(route.handler, OPERATION)
        for route in app.router.routes()
        if hasattr(route.handler, OPERATION) and route.method != "HEAD"
    }
    bodies = {operation.body for operation in operations.values() if operation.body}
    _, schemas = models_json_schema(
        [(body, "validation") for body in sorted(bodies, key=lambda body: body.__name__)], ref_template=SCHEMAS
    )
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in sorted(operations.items()):
        paths.setdefault(path, {})[method] = _operation(path, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ragmesh", "version": version("ragmesh"), "description": "Answers from your documents."},
        "paths": paths,
        "components": {"schemas": {**schemas.get("$defs", {}), "Problem": PROBLEM_SCHEMA}},
    }


def _operation(path: str, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method}{re.sub(r'[^a-z]+', '_', path)}".rstrip("_"),
        "summary": operation.summary,
        "parameters": _parameters(path, operation),
        "responses": {
            str(operation.status): {"description": "done", **_content(operation)},
            "default": {"description": "a problem", "content": PROBLEM},
        },
    }
    if body := _body(operation):
        described["requestBody"] = {"required": True, "content": body}
    return described


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"{(\w+)}", path)
    ]
    return in_path + [{"name": name, "in": "query", "schema": text} for name in operation.query]


def _content(operation: Operation) -> Mapping[str, Any]:
    if operation.status == 204:
        return {}
    content = {"application/json": {"schema": {"type": "object"}}}
    if operation.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"content": content}


def _body(operation: Operation) -> Mapping[str, Any]:
    if operation.body:
        return {"application/json": {"schema": {"$ref": SCHEMAS.format(model=operation.body.__name__)}}}
    if not operation.upload:
        return {}
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"metadata": {"type": "string"}, "file": binary}, "required": ["file"]}
    return {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": binary}}


def _path(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource else ""
