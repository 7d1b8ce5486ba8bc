"""Passages: exact, whole, within the measure, and cut where a reader would."""

import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import semantra_multilingual
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragmesh.inference.tokens import Tokenizer
from svc_document.chunking import Measure, Passage, cut
from svc_document.parse.document import ParsedDocument, Source
from svc_document.parse.manuscript import Manuscript

WEIGHTS = Path(semantra_multilingual.__file__).parent / "assets" / "multilingual-e5-small"
SMALL = Measure(32, 8)
NOWHERE = Source(Path("nowhere"), "nowhere.txt")
ENGLISH = "The tower was finished in 1889. It is 330 m tall, and Mr. Eiffel's firm built it! Who climbs it? "
CHINESE = "埃菲尔铁塔位于巴黎战神广场。它高三百三十米，建于一八八九年！谁会爬上去？“没有人。”他说；"

letters = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
hard = st.text(st.sampled_from("a.!?。！？；， \n\t👩\u200d👦🏽e\u0301ﷺ—埃塔\u3000”)"), max_size=600)
prose = st.lists(st.sampled_from([ENGLISH, CHINESE, "\n\n", "word ", "x" * 90, "…" * 70]), max_size=25).map("".join)
events = st.lists(
    st.one_of(
        st.tuples(st.just("page"), st.integers(1, 9)),
        st.tuples(st.just("heading"), st.integers(1, 4), st.sampled_from(["Towers", "塔", "A long heading"])),
        st.tuples(st.just("paragraph"), st.one_of(letters, hard, prose)),
    ),
    max_size=20,
)
measures = st.sampled_from([Measure(32, 0), Measure(32, 16), Measure(40, 8), Measure(64, 32)])


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(tokenizers.Tokenizer.from_file(str(WEIGHTS / "tokenizer.json")))


def document(*events: tuple) -> ParsedDocument:
    manuscript = Manuscript(NOWHERE, max_chars=100_000_000)
    manuscript.paragraph("x")
    for name, *arguments in events:
        getattr(manuscript, name)(*arguments)
    return manuscript.finish("text/plain")


def cut_text(text: str, measure: Measure = SMALL) -> list[str]:
    manuscript = Manuscript(NOWHERE, max_chars=100_000_000)
    manuscript.paragraph(text)
    return [passage.text for passage in cut(manuscript.finish("text/plain"), tokenizer(), measure).chunks]


@settings(max_examples=150, deadline=None)
@given(events, measures)
@example([("paragraph", "ﷺ" * 200)], Measure(32, 16))
@example([("paragraph", "e" + "\u0301" * 500)], Measure(32, 16))
@example([("paragraph", "." * 3000)], Measure(32, 16))
@example([("paragraph", " \n" * 3000 + "end")], Measure(32, 16))
def test_passages_are_exact_whole_and_within_the_measure(events: list[tuple], measure: Measure):
    parsed = document(*events)

    passages = cut(parsed, tokenizer(), measure).chunks

    for passage in passages:
        assert parsed.text[passage.start : passage.end] == passage.text == passage.text.strip() != ""
        assert tokenizer().count(passage.text) <= measure.tokens
        assert page_of(parsed, passage.start) == page_of(parsed, passage.end - 1) == passage.page
    assert not uncovered(parsed.text, passages).strip()
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(passages))


def page_of(parsed: ParsedDocument, position: int) -> int:
    return next(section.page for section in parsed.sections if section.start <= position < section.end)


def uncovered(text: str, passages: tuple[Passage, ...]) -> str:
    ends = [0, *(passage.end for passage in passages)]
    starts = [*(passage.start for passage in passages), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def test_english_passages_end_with_sentences():
    passages = cut_text(ENGLISH * 12)

    assert len(passages) > 8
    assert all(text.endswith((".", "!", "?")) and not text.endswith("Mr.") for text in passages)


def test_chinese_passages_end_with_sentences_and_their_closing_quotes():
    passages = cut_text(CHINESE * 12)

    assert len(passages) > 8
    assert all(text.endswith(("。", "！", "？", "；", "。”")) for text in passages)


def test_neighbours_share_whole_sentences():
    sentences = " ".join(f"Fact {number} is true." for number in range(60))

    passages = cut_text(sentences, Measure(64, 16))

    for before, after in pairwise(passages):
        shared = after[: after.index(".") + 1]
        assert shared in before
        assert shared.startswith("Fact")


def test_without_overlap_neighbours_share_nothing():
    passages = cut_text(ENGLISH * 12, Measure(48, 0))

    assert " ".join(passages) == (ENGLISH * 12).strip()


def test_a_sentence_too_long_is_cut_at_commas_then_at_words_then_anywhere():
    assert all(text.endswith(",") for text in cut_text("one two three four five six seven eight, " * 40)[:-1])
    assert all(len(set(text.split())) <= 8 for text in cut_text("one two three four five six seven eight " * 40))
    assert "".join(cut_text("塔" * 500, Measure(32, 0))) == "塔" * 500


def test_no_character_loses_its_accent():
    passages = cut_text("e\u0301" * 400, Measure(32, 0))

    assert all(text.startswith("e") for text in passages)


def test_a_section_begins_a_passage_and_names_what_is_above_it():
    parsed = document(
        ("heading", 1, "Towers"), ("paragraph", ENGLISH * 3), ("heading", 2, "History"), ("paragraph", ENGLISH * 5)
    )

    chunks = cut(parsed, tokenizer(), Measure(64, 16)).chunks

    begins = next(chunk for chunk in chunks if chunk.text.startswith("History"))
    assert begins.headings == ("Towers",)
    assert chunks[-1].headings == ("Towers", "History")


def test_small_sections_share_a_passage_and_large_ones_do_not():
    small = document(*[event for n in range(4) for event in (("heading", 2, f"H{n}"), ("paragraph", "Few words."))])
    large = document(*[event for n in range(4) for event in (("heading", 2, f"H{n}"), ("paragraph", ENGLISH * 2))])

    assert len(cut(small, tokenizer(), Measure(256, 32)).chunks) == 1
    for chunk in cut(large, tokenizer(), Measure(128, 32)).chunks:
        assert chunk.text.count("H") == 1


def test_no_passage_is_tiny_where_it_need_not_be():
    for sentences in range(1, 40):
        sizes = [tokenizer().count(text) for text in cut_text(ENGLISH * sentences, Measure(128, 0))]
        assert len(sizes) == 1 or min(sizes) >= 24


def test_ten_times_the_text_takes_ten_times_as_long():
    for text in (ENGLISH, CHINESE, "x", ".", "。", "a\u0301"):
        small, large = (seconds(text * (size // len(text))) for size in (100_000, 1_000_000))
        assert large < 25 * small


def seconds(text: str) -> float:
    begun = time.process_time()
    cut_text(text, Measure(256, 32))
    return time.process_time() - begun
