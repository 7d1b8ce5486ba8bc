"""A search filter, parsed: the domain's twin of the contract's `Filter`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equals:
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class NotEquals:
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    field: str
    values: tuple[str, ...]  # empty matches nothing


@dataclass(frozen=True, slots=True)
class Exists:
    field: str
    exists: bool


@dataclass(frozen=True, slots=True)
class InRange:
    """Bounds are included; None leaves a side open. Only "page" has a range."""

    field: str
    at_least: int | None
    at_most: int | None


Condition = Equals | NotEquals | AnyOf | Exists | InRange
Filter = tuple[Condition, ...]  # all must hold; hashable, so that equal filters can share a call

FIELDS = frozenset({"document_id", "document_name", "content_type", "page", "language"})
METADATA_PREFIX = "metadata."
