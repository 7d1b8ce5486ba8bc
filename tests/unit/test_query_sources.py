"""Sources worth their tokens: neighbours joined, repetitions left out."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ragmesh.chunk import Chunk
from ragmesh.storage.vectors.port import Hit
from svc_query.sources import as_sources
from tests.query_fakes import passage

THINGS = ("tower", "bridge", "river", "ferry", "tram")
TEXT = " ".join(f"Sentence {n} tells of the {thing}." for n, thing in enumerate(THINGS))


def piece(ordinal: int, start: int, end: int, **other: object) -> Chunk:
    return replace(passage(TEXT[start:end], ordinal=ordinal), start=start, end=end, **other)


def hits(*chunks: Chunk) -> list[Hit]:
    """These chunks, best first."""
    return [Hit(chunk, 1 - place / 10) for place, chunk in enumerate(chunks)]


def test_neighbours_become_one_source_with_the_text_of_both_and_the_place_of_the_better():
    other = passage("The market opens at noon.", document="market")

    first, second = as_sources(hits(piece(1, 30, 90), other, piece(0, 0, 45)))

    assert (first.chunk.start, first.chunk.end, first.chunk.text) == (0, 90, TEXT[:90])
    assert first.chunk.chunk_id == piece(1, 30, 90).chunk_id
    assert first.score == 1
    assert second.chunk == other


def test_three_in_a_row_are_one_even_if_the_middle_one_was_found_last():
    (source,) = as_sources(hits(piece(2, 70, 120), piece(0, 0, 45), piece(1, 40, 80)))

    assert source.chunk.text == TEXT[:120]


def test_white_space_that_lay_between_neighbours_keeps_every_character_in_its_place():
    (source,) = as_sources(hits(piece(0, 0, 30), replace(piece(1, 32, 60), start=32, end=60)))

    assert len(source.chunk.text) == source.chunk.end - source.chunk.start
    assert source.chunk.text[32:] == TEXT[32:60]


def test_what_is_no_neighbour_stays_apart():
    chunks = [
        piece(0, 0, 45),
        piece(2, 80, 120),  # one between them was not found
        replace(piece(1, 40, 80), generation=2),
        replace(piece(1, 40, 80), page=2),
        replace(piece(1, 40, 80), headings=("Another",)),
    ]

    assert len(as_sources(hits(chunks[0], chunks[1]))) == 2
    for other in chunks[2:]:
        assert len(as_sources(hits(chunks[0], other))) == 2


def test_of_two_passages_that_say_the_same_the_better_stays():
    copy = passage("The ferry leaves at 7 in the morning.", document="copy")
    original = passage("The ferry leaves at 7, in the morning!", document="original")

    assert [hit.chunk.document_id for hit in as_sources(hits(original, copy))] == ["original"]


def test_passages_that_differ_in_a_number_say_different_things():
    old = passage("The ferry costs 4 euros for adults.", document="2025")
    new = passage("The ferry costs 5 euros for adults.", document="2026")

    assert len(as_sources(hits(new, old))) == 2


@given(st.lists(st.integers(0, 8), unique=True, min_size=1, max_size=9))
def test_joining_loses_and_repeats_no_character(found: list[int]):
    chunks = [piece(n, max(0, n * 14 - 4), n * 14 + 14) for n in found]

    covered = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
    sources = [hit.chunk for hit in as_sources(hits(*chunks))]

    assert {place for source in sources for place in range(source.start, source.end)} == covered
    assert all(source.text == TEXT[source.start : source.end] for source in sources)
    assert sources[0].chunk_id == chunks[0].chunk_id
