r"""Filters as Milvus expressions: strict, so that a filter never matches more than it says.

    >>> print(expression(Scope("c1", (Equals("metadata.team", 'R&D "north"'),))))
    collection_id == "c1" and (metadata["team"] == "R&D \"north\"")

Values are always quoted, keys are checked, and what cannot be true becomes an expression that matches nothing.
"""

import re

from ragmesh.errors import InvalidArgument
from ragmesh.filter import FIELDS, METADATA_PREFIX, AnyOf, Condition, Equals, Exists, InRange, NotEquals
from ragmesh.storage.vectors.port import Scope

EVERYTHING = "page >= 0"
NOTHING = "page < 0"

_KEY = re.compile(r"[a-z0-9_]{1,64}")
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def expression(scope: Scope) -> str:
    """What a search of this scope may see. Raises InvalidArgument for a field that does not exist."""
    return " and ".join((f"collection_id == {quoted(scope.collection_id)}", *map(_condition, scope.filter)))


def quoted(value: str) -> str:
    """A string literal. Milvus and Milvus Lite know these escapes alike; all else stands for itself."""
    return f'"{value.translate(_ESCAPES)}"'


def _condition(condition: Condition) -> str:
    field = _field(condition.field)
    match condition:
        case Equals(_, value):
            return _is_one_of(field, (value,))
        case AnyOf(_, values):
            return _is_one_of(field, values)
        case NotEquals(_, value):
            return _is_not(field, value)
        case Exists(_, exists):
            return _exists(field, exists=exists)
        case InRange():
            return _in_range(field, condition)


def _field(name: str) -> str:
    if name in FIELDS:
        return name
    key = name.removeprefix(METADATA_PREFIX)
    if key == name or not _KEY.fullmatch(key):
        known = ", ".join(sorted(FIELDS))
        raise InvalidArgument(
            f"cannot filter by {name!r}: use {known} or {METADATA_PREFIX}KEY, where KEY matches {_KEY.pattern}",
            field="filter",
        )
    return f'metadata["{key}"]'


def _is_one_of(field: str, values: tuple[str, ...]) -> str:
    literals = [literal for value in values if (literal := _literal(field, value))]
    if not literals:
        return NOTHING
    if field in FIELDS:
        return f"{field} in [{', '.join(literals)}]"
    tests = " or ".join(f"{field} == {literal}" for literal in literals)  # Milvus Lite has no `in` for JSON
    return f"({tests})"


def _is_not(field: str, value: str) -> str:
    literal = _literal(field, value)
    if not literal:
        return EVERYTHING
    if field in FIELDS:
        return f"{field} != {literal}"
    return f"({_exists(field, exists=False)} or {field} != {literal})"


def _exists(field: str, *, exists: bool) -> str:
    if field in FIELDS:
        return EVERYTHING if exists else NOTHING
    return f"(exists {field})" if exists else f"(not (exists {field}))"  # Milvus 2.3 needs each bracket


def _in_range(field: str, bounds: InRange) -> str:
    if field != "page":
        raise InvalidArgument(f'a range is for "page", not for {bounds.field!r}', field="filter")
    tests = [
        f"page {operator} {bound}"
        for operator, bound in ((">=", bounds.at_least), ("<=", bounds.at_most))
        if bound is not None
    ]
    return " and ".join(tests) or EVERYTHING


def _literal(field: str, value: str) -> str | None:
    """The value as this field's type has it; None where no value of the field can equal it."""
    if field != "page":
        return quoted(value)
    return value if _WHOLE_NUMBER.fullmatch(value) else None
