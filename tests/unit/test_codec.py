"""What our codec writes and reads is what betterproto2's own does: for every message of the contract."""

import math
from datetime import UTC, datetime

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragmesh import v1
from ragmesh.v1 import codec
from ragmesh.v1._generated.message_pool import default_message_pool

KINDS = sorted(
    (kind for url, kind in default_message_pool.url_to_type.items() if "/ragmesh.v1." in url),
    key=lambda kind: kind.__name__,
)
INTEGERS = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
}
SCALARS = INTEGERS | {
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "bytes": st.binary(),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
}
MOMENTS = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001


def messages_of(kind) -> st.SearchStrategy:
    """Messages with any fields set, at most one of each oneof."""
    alone, groups = {}, {}
    for name, meta in kind._betterproto.meta_by_field_name.items():
        values = values_of(kind, name, meta)
        if meta.group:
            groups.setdefault(meta.group, []).append(values.map(lambda value, name=name: {name: value}))
        else:
            alone[name] = st.none() | values if meta.optional else values
    chosen = [st.just({}) | st.one_of(members) for members in groups.values()]
    return st.tuples(st.fixed_dictionaries(alone), *chosen).map(
        lambda parts: kind(**{name: value for part in parts for name, value in part.items()})
    )


def values_of(kind, name, meta) -> st.SearchStrategy:
    if meta.map_meta:
        return st.dictionaries(SCALARS["string"], SCALARS["string"], max_size=3)
    if meta.unwrap:
        single = MOMENTS
    elif meta.proto_type == "message":
        single = messages_of(kind._betterproto.cls_by_field[name])
    elif meta.proto_type == "enum":
        single = st.sampled_from(list(kind._betterproto.cls_by_field[name]))
    else:
        single = SCALARS[meta.proto_type]
    return st.lists(single, max_size=3) if meta.repeated else single


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_both_codecs_understand_each_other(kind):
    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages_of(kind))
    def check(message):
        assert kind.parse(codec.encode(message)) == message
        assert codec.decoding(kind)(bytes(message)) == message

    check()


def test_what_is_set_to_nothing_is_not_what_is_unset():
    unset, empty = v1.SearchRequest(), v1.SearchRequest(top_k=0, filter=v1.Filter())

    for request in (unset, empty):
        read = codec.decoding(v1.SearchRequest)(codec.encode(request))
        assert (read.top_k, read.filter) == (request.top_k, request.filter)


def test_a_chosen_field_stays_chosen_though_it_is_empty():
    event = codec.decoding(v1.AnswerEvent)(codec.encode(v1.AnswerEvent(token=v1.Token())))

    assert event == v1.AnswerEvent(token=v1.Token())
    assert event.sources is None


def test_an_enum_value_of_a_later_contract_is_kept():
    later = codec.decoding(v1.SearchResponse)(b"\x18\x63")

    assert later.mode == 99
    assert isinstance(later.mode, v1.SearchMode)
    assert codec.encode(later) == b"\x18\x63"


def test_a_field_of_a_later_contract_is_passed_over():
    assert codec.decoding(v1.Token)(b"\x0a\x02hi\xfa\x07\x01x") == v1.Token(text="hi")


@pytest.mark.parametrize("data", [b"\x0a\x05hi", b"\x0a\x02\xff\xfe", b"\xff", b"\x00"])
def test_malformed_bytes_are_refused(data):
    with pytest.raises(DecodeError):
        codec.decoding(v1.Token)(data)


def test_not_a_number_is_carried_as_such():
    read = codec.decoding(v1.SearchResult)(codec.encode(v1.SearchResult(score=math.nan)))

    assert math.isnan(read.score)
