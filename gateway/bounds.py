"""What each place in a body may hold, in words, as the schema of the body's model has it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]
Step = str | int

NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date-time": "a time with its zone, like 2026-01-31T12:00:00Z",
}
COUNTED = {"string": ("a text", "Length", "characters"), "object": ("an object", "Properties", "fields")}


def place(model: type[BaseModel], steps: Sequence[Step]) -> tuple[str, Schema]:
    """A place in a body, by the steps that a validator names: how people write it, and its schema.

    What a validator names beside fields and numbers, as which of several kinds it tried, is left out.
    """
    whole = _schema(model)
    here, written = whole, list[str]()
    for step in steps:
        inner = next(filter(None, (_inside(choice, step) for choice in _choices(here, whole))), None)
        if inner is not None:
            here = inner
            written.append(str(step))
    return ".".join(written), here


def fields(model: type[BaseModel], schema: Schema) -> list[str]:
    """The fields that an object of this schema may have."""
    return [name for choice in _choices(schema, _schema(model)) for name in choice.get("properties", {})]


def words(model: type[BaseModel], schema: Schema) -> str | None:
    """What a place may hold; None where words are missing for it."""
    told = [_words(choice, _schema(model)) for choice in _choices(schema, _schema(model))]
    return ", or ".join(filter(None, told)) if all(told) else None


@cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _choices(schema: Schema, whole: Schema) -> Iterator[Schema]:
    """The kinds of what may stand there, null left out."""
    for choice in schema.get("anyOf", [schema]):
        if "$ref" in choice:
            yield from _choices(whole["$defs"][choice["$ref"].rpartition("/")[2]], whole)
        elif choice.get("type") != "null":
            yield choice


def _inside(schema: Schema, step: Step) -> Schema | None:
    match schema, step:
        case {"items": inner}, int():
            return inner
        case {"properties": inner}, str() if step in inner:
            return inner[step]
        case {"additionalProperties": Mapping() as inner}, str():
            return inner
        case _:
            return None


def _words(schema: Schema, whole: Schema) -> str | None:
    match schema:
        case {"enum": allowed}:
            return f"one of {', '.join(map(str, allowed))}"
        case {"const": allowed}:
            return "false" if allowed is False else str(allowed)
        case {"type": "string", "format": "date-time" as kind} | {"type": "integer" | "number" | "boolean" as kind}:
            return " ".join([NAMES[kind], *_range(schema)])
        case {"type": "string" | "object" as kind}:
            name, counted, unit = COUNTED[kind]
            return " ".join([name, *_count(schema, counted, unit)])
        case {"type": "array", "items": each}:
            inner = [_words(choice, whole) for choice in _choices(each, whole)]
            return " ".join(["a list", *_count(schema, "Items", "")]) + _each(inner)
        case _:
            return None


def _each(inner: Sequence[str | None]) -> str:
    return f", each {', or '.join(filter(None, inner))}" if inner and all(inner) else ""


def _count(schema: Schema, what: str, unit: str) -> list[str]:
    """How many of something there may be."""
    match schema.get(f"min{what}"), schema.get(f"max{what}"):
        case None, None:
            return []
        case None, most:
            told = f"of at most {most}"
        case least, None:
            told = f"of at least {least}"
        case least, most:
            told = f"of {least} to {most}"
    return [f"{told} {unit}".rstrip()]


def _range(schema: Schema) -> list[str]:
    match schema:
        case {"minimum": least, "maximum": most} if least == most:
            return [f"that is {least:g}"]
        case {"minimum": least, "maximum": most}:
            return [f"from {least:g} to {most:g}"]
        case {"exclusiveMinimum": below, "maximum": most}:
            return [f"above {below:g}, at most {most:g}"]
        case {"minimum": least, "exclusiveMaximum": above}:
            return [f"from {least}, below {above}"]
        case {"minimum": least}:
            return [f"from {least:g}"]
        case _:
            return []
