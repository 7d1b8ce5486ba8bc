"""What a field of a body may be, in words, both ends of it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

NUMBERS = {"integer": "a whole number", "number": "a number"}


@cache
def bounds(model: type[BaseModel], field: str) -> str | None:
    """As the model's description has it; None where that is not a bounded number, text or list."""
    described = model.model_json_schema()["properties"].get(field, {})
    for choice in described.get("anyOf", [described]):
        if words := _words(choice):
            return words
    return None


def _words(schema: Mapping[str, Any]) -> str | None:
    match schema:
        case {"type": "integer" | "number" as kind}:
            return " ".join([NUMBERS[kind], *_range(schema)])
        case {"type": "string", "minLength": least, "maxLength": most}:
            return f"a text of {least} to {most} characters"
        case {"type": "array", "maxItems": most, "items": {"type": "string"} as each}:
            return f"a list of at most {most}, each {_words(each) or 'a text'}"
        case _:
            return None


def _range(schema: Mapping[str, Any]) -> list[str]:
    match schema:
        case {"minimum": least, "maximum": most}:
            return [f"from {least:g} to {most:g}"]
        case {"exclusiveMinimum": below, "maximum": most}:
            return [f"above {below:g}, at most {most:g}"]
        case {"minimum": least, "exclusiveMaximum": above}:
            return [f"from {least}, below {above}"]
        case _:
            return []
