"""Request bodies, checked by their models; response bodies, written as JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.bounds import bounds
from gateway.models import FILTER_VALUES
from gateway.problem import HttpProblem, dumps
from ragmesh.errors import InvalidArgument

BodyT = TypeVar("BodyT", bound=BaseModel)


async def read(request: web.Request, model: type[BodyT]) -> BodyT:
    """The request's JSON as a model. Raises HttpProblem, InvalidArgument with what would be right."""
    if request.content_type != "application/json":
        raise HttpProblem(
            415, f"the body is {request.content_type}; send JSON, with Content-Type: application/json"
        )
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise explained(error, model) from None


def explained(error: ValidationError, model: type[BaseModel]) -> InvalidArgument:
    """The first thing that is wrong with a body, and what would be right."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "body"
    if first["type"] == "json_invalid":
        return InvalidArgument(f"the body is not valid JSON: {first['msg']}")
    if len(first["loc"]) > 1 and first["loc"][0] == "filter":
        key = str(first["loc"][1])
        return InvalidArgument(f"the filter's {key[:64]!r} takes {FILTER_VALUES}", field=f"filter.{key[:64]}")
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(model.model_fields)
        return InvalidArgument(f"{field!r} is not known here; known are {allowed}", field=field)
    if first["loc"] and (right := bounds(model, str(first["loc"][0]))) and first["type"] != "missing":
        return InvalidArgument(f"{field} must be {right}", field=field)
    return InvalidArgument(f"{field}: {first['msg']}", field=field)


def respond(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, text=dumps(content), content_type="application/json", headers=headers)
