"""The contract's `Filter`, parsed. What can't be understood is refused: a filter never widens by being ignored."""

import betterproto2

from ragmesh import v1
from ragmesh.errors import InvalidArgument
from ragmesh.filter import FIELDS, METADATA_PREFIX, AnyOf, Condition, Equals, Exists, Filter, InRange, NotEquals

CONDITIONS_MAX = 16
VALUES_MAX = 256
VALUE_MAX_CHARS = 1024
PAGE = "page"


def parse_filter(message: v1.Filter | None) -> Filter:
    """The domain's filter; no message and no condition both let everything through. Raises InvalidArgument."""
    if message is None:
        return ()
    if len(message.conditions) > CONDITIONS_MAX:
        raise InvalidArgument(
            f"the filter has {len(message.conditions)} conditions: at most {CONDITIONS_MAX} are allowed",
            field="filter.conditions",
        )
    return tuple(_condition(condition) for condition in message.conditions)


def _condition(message: v1.Condition) -> Condition:
    field = _field(message.field)
    test, value = betterproto2.which_one_of(message, "test")
    match test, value:
        case "equals", str():
            return Equals(field, _value(field, value))
        case "not_equals", str():
            return NotEquals(field, _value(field, value))
        case "any_of", v1.StringList():
            return AnyOf(field, _values(field, value))
        case "exists", bool():
            return _exists(field, exists=value)
        case "range", v1.IntRange():
            return _range(field, value)
        case _:
            raise InvalidArgument(
                f"the condition on {field!r} tests nothing: set equals, not_equals, any_of, exists or range",
                field="filter.conditions.test",
            )


def _field(name: str) -> str:
    if name in FIELDS or (name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX):
        return name
    known = ", ".join(sorted(FIELDS))
    raise InvalidArgument(
        f"a filter can't test {name[:64]!r}: it knows {known} and {METADATA_PREFIX}KEY",
        field="filter.conditions.field",
    )


def _value(field: str, value: str) -> str:
    if len(value) > VALUE_MAX_CHARS:
        raise InvalidArgument(
            f"a value for {field!r} has {len(value)} characters: at most {VALUE_MAX_CHARS} are allowed",
            field="filter.conditions",
        )
    if field == PAGE and not value.isdecimal():
        raise InvalidArgument(f"page is a whole number, not {value[:64]!r}", field="filter.conditions")
    return value


def _values(field: str, message: v1.StringList) -> tuple[str, ...]:
    if len(message.values) > VALUES_MAX:
        raise InvalidArgument(
            f"any_of on {field!r} lists {len(message.values)} values: at most {VALUES_MAX} are allowed",
            field="filter.conditions.any_of",
        )
    return tuple(_value(field, value) for value in message.values)


def _exists(field: str, *, exists: bool) -> Exists:
    if not field.startswith(METADATA_PREFIX):
        raise InvalidArgument(
            f"every chunk has a {field!r}: exists is for {METADATA_PREFIX}KEY only",
            field="filter.conditions.exists",
        )
    return Exists(field, exists)


def _range(field: str, message: v1.IntRange) -> InRange:
    low, high = message.at_least, message.at_most
    if field != PAGE:
        raise InvalidArgument(f"only page has a range, not {field!r}", field="filter.conditions.range")
    if low is None and high is None:
        raise InvalidArgument("a range needs at_least, at_most or both", field="filter.conditions.range")
    if low is not None and high is not None and low > high:
        raise InvalidArgument(
            f"the range from {low} to {high} is empty: swap them", field="filter.conditions.range"
        )
    return InRange(field, low, high)
