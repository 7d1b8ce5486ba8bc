"""Request bodies, checked by their models; response bodies, written as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.bounds import Step, fields, place, words
from gateway.models import FILTER_VALUES
from gateway.problem import HttpProblem, dumps
from ragmesh.errors import InvalidArgument
from ragmesh.settings import reason

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
    steps, kind = first["loc"], first["type"]
    if kind == "json_invalid":
        return InvalidArgument(f"the body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}")
    if len(steps) > 1 and steps[0] == "filter":
        key = str(steps[1])[:64]
        return InvalidArgument(f"the filter's {key!r} takes {FILTER_VALUES}", field=f"filter.{key}")
    if kind == "extra_forbidden":
        return _unknown(model, steps)
    field, schema = place(model, steps)
    if kind == "value_error":
        return InvalidArgument(f"{field}: {reason(first)}", field=field)
    right = words(model, schema)
    said = "is missing: it must be" if kind == "missing" else "must be"
    return InvalidArgument(
        f"{field or 'the body'} {said} {right}" if right else f"{field}: {first['msg']}", field=field or "body"
    )


def _unknown(model: type[BaseModel], steps: Sequence[Step]) -> InvalidArgument:
    outer, schema = place(model, steps[:-1])
    field = ".".join(filter(None, (outer, str(steps[-1])[:64])))
    known = ", ".join(fields(model, schema))
    return InvalidArgument(f"{field!r} is not known here; known are {known}", field=field)


def respond(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, text=dumps(content), content_type="application/json", headers=headers)
