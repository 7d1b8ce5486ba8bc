"""A filter message becomes the domain's filter, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import InvalidArgument
from ragmesh.filter import AnyOf, Equals, Exists, InRange, NotEquals
from ragmesh.v1 import Condition, Filter, IntRange, StringList
from svc_query.filters import parse_filter

tests = st.one_of(
    st.just({}),
    st.builds(lambda value: {"equals": value}, st.text(max_size=20)),
    st.builds(lambda value: {"not_equals": value}, st.text(max_size=20)),
    st.builds(lambda values: {"any_of": StringList(values=values)}, st.lists(st.text(max_size=5), max_size=300)),
    st.builds(lambda value: {"exists": value}, st.booleans()),
    st.builds(
        lambda low, high: {"range": IntRange(at_least=low, at_most=high)},
        st.none() | st.integers(-5, 5),
        st.none() | st.integers(-5, 5),
    ),
)
fields = st.sampled_from(["document_id", "page", "metadata.team", "metadata.", "secret", ""]) | st.text(max_size=12)
conditions = st.builds(lambda field, test: Condition(field=field, **test), fields, tests)


def parse(field: str, **test: object):
    return parse_filter(Filter(conditions=[Condition(field=field, **test)]))  # type: ignore[arg-type] built from names


@given(st.lists(conditions, max_size=20))
def test_a_condition_is_understood_or_refused_but_never_dropped(messages: list[Condition]):
    message = Filter(conditions=messages)
    try:
        parsed = parse_filter(Filter.parse(bytes(message)))
    except InvalidArgument:
        return

    assert [condition.field for condition in parsed] == [condition.field for condition in messages]
    assert hash(parsed) == hash(parse_filter(message))


def test_each_test_keeps_its_values():
    assert parse("document_name", equals="") == (Equals("document_name", ""),)
    assert parse("content_type", not_equals="text/html") == (NotEquals("content_type", "text/html"),)
    assert parse("metadata.team", any_of=StringList(values=["a", "b"])) == (AnyOf("metadata.team", ("a", "b")),)
    assert parse("metadata.team", exists=False) == (Exists("metadata.team", exists=False),)
    assert parse("page", range=IntRange(at_least=0)) == (InRange("page", 0, None),)


def test_any_of_nothing_stays_a_condition_that_matches_nothing():
    assert parse("page", any_of=StringList()) == (AnyOf("page", ()),)


def test_no_filter_lets_everything_through():
    assert parse_filter(None) == parse_filter(Filter()) == ()


@pytest.mark.parametrize(
    ("field", "test", "says"),
    [
        ("tenant", {"equals": "other"}, "can't test 'tenant'"),
        ("metadata.", {"equals": "x"}, "can't test"),
        ("page", {}, "tests nothing"),
        ("page", {"equals": "two"}, "whole number"),
        ("page", {"range": IntRange()}, "at_least, at_most or both"),
        ("page", {"range": IntRange(at_least=3, at_most=2)}, "swap them"),
        ("document_id", {"range": IntRange(at_least=1)}, "only page has a range"),
        ("page", {"exists": True}, "for metadata.KEY only"),
        ("document_id", {"any_of": StringList(values=["x"] * 257)}, "at most 256"),
        ("document_id", {"equals": "x" * 1025}, "at most 1024"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_a_reason(field: str, test: dict[str, object], says: str):
    with pytest.raises(InvalidArgument, match=says):
        parse(field, **test)


def test_more_than_sixteen_conditions_are_refused():
    with pytest.raises(InvalidArgument, match="at most 16"):
        parse_filter(Filter(conditions=[Condition(field="page", equals="1")] * 17))
