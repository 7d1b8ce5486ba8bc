"""The OpenAPI description, out of the routes and the models of their bodies."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from gateway.access import NEEDS, NOTHING, Need
from gateway.paging import PAGE_SIZE_MAX, STATES
from ragmesh.access import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])

OPERATION = "__operation__"
SCHEMAS = "#/components/schemas/{model}"
TEXT = {"type": "string"}
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
    answer: type | None = None  # one of `shapes`; None for what is not JSON
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    status: int = 200
    upload: bool = False
    media: str = ""  # what else it may answer with
    needs: Need | None = None  # what a caller must have; a route that does not say so is for admins


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
            "schemas": {**schemas.get("$defs", {}), "Problem": PROBLEM_SCHEMA},
            "securitySchemes": SECURITY_SCHEMES,
        },
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
    if operation.needs != NOTHING:
        needed = [operation.needs or Scope.ADMIN]
        described["security"] = [{name: needed} for name in SECURITY_SCHEMES]
    if body := _body(operation):
        described["requestBody"] = {"required": True, "content": body}
    return described


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name in re.findall(r"{(\w+)}", path)
    ]
    return in_path + [{"name": name, "in": "query", "schema": QUERY.get(name, TEXT)} for name in operation.query]


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
    form = {"type": "object", "properties": {"metadata": {"type": "string"}, "file": binary}, "required": ["file"]}
    return {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": binary}}


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": SCHEMAS.format(model=kind.__name__)}


def _path(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource else ""
