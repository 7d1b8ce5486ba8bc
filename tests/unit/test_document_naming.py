"""Names, metadata and page tokens, hostile ones included."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import InvalidArgument
from svc_document import naming, paging


def refusal(check: Callable[[str], str], text: str) -> InvalidArgument | None:
    try:
        check(text)
    except InvalidArgument as error:
        return error
    return None


@given(st.text(max_size=300))
def test_a_document_name_is_safe_or_refused_in_printable_words(name: str):
    if refused := refusal(naming.document_name, name):
        assert refused.message.isprintable()
        return

    assert naming.document_name(name) == name
    assert 1 <= len(name.encode()) <= 255 * 4
    assert not set(name) & set("/\\\0\n\r\t\x7f")


@given(st.text())
def test_a_collection_name_is_safe_or_refused_in_printable_words(name: str):
    if refused := refusal(naming.collection_name, name):
        assert refused.message.isprintable()
        return

    assert naming.collection_name(name) == (name or "default")
    assert name.isascii()


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_a_foreign_page_token_is_refused(token: str, scope: list[str]):
    if not token:
        return
    with pytest.raises(InvalidArgument):
        paging.read(token, scope)


@given(st.lists(st.text(), min_size=1, max_size=3), st.text())
def test_a_page_token_reads_back_in_its_own_list(scope: list[str], last: str):
    assert paging.read(paging.token(scope, last), scope) == last


@pytest.mark.parametrize(("asked", "given_"), [(0, 100), (1, 1), (1000, 1000)])
def test_a_page_size_within_bounds_is_kept_and_zero_means_100(asked: int, given_: int):
    assert paging.size(asked) == given_
