"""Events of an answer as bytes, for another instance of the same version."""

from pydantic import TypeAdapter

from svc_query.events import AnswerEvent, Done, Sources, Token, Usage

_KINDS: dict[str, TypeAdapter[AnswerEvent]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Sources, Token, Usage, Done)
}


def encode(event: AnswerEvent) -> bytes:
    """Its kind and its fields."""
    kind = type(event).__name__
    return kind.encode() + b" " + _KINDS[kind].dump_json(event)


def decode(data: bytes) -> AnswerEvent:
    """What was encoded."""
    kind, _, fields = data.partition(b" ")
    return _KINDS[kind.decode()].validate_json(fields)
