"""A filter in JSON, as the contract's message."""

from collections.abc import Mapping

from gateway.models import Exists, FilterValue, Not, Range
from ragmesh.v1 import Condition, Filter, IntRange, StringList


def to_message(content: Mapping[str, FilterValue]) -> Filter | None:
    """The filter message; None where nothing is filtered. What a field may be is for the query service to say."""
    if not content:
        return None
    return Filter(conditions=[_condition(field, value) for field, value in content.items()])


def _condition(field: str, value: FilterValue) -> Condition:
    match value:
        case str() | int():
            return Condition(field=field, equals=str(value))
        case list():
            return Condition(field=field, any_of=StringList(values=[str(each) for each in value]))
        case Range():
            return Condition(field=field, range=IntRange(at_least=value.at_least, at_most=value.at_most))
        case Not():
            return Condition(field=field, not_equals=str(value.not_))
        case Exists():
            return Condition(field=field, exists=value.exists)
