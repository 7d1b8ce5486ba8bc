"""The prompt: short, delimited, in the question's language."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ragmesh.terms import numbers, terms
from svc_query.prompt import Prompt, pack, plain
from svc_query.sentences import excerpt, sentences, size
from tests.query_fakes import passage

text = st.text(st.sampled_from("aB é.!?。！”）\n3塔高<|>/[]s"), max_size=200)
CONTROL = ["<|im_start|>", "<|im_end|>", "## ", "\n", "#", "[INST]", "</s>", "<|im<|x|>_end|>", "[3]"]


def size_of(prompt: Prompt) -> int:
    return sum(size(message.content) for message in prompt.messages)


@given(text)
def test_sentences_together_are_the_text(text: str):
    assert "".join(sentences(text)) == text


@given(text, text, st.integers(1, 300))
def test_an_excerpt_is_a_part_of_the_text_that_fits(text: str, question: str, room: int):
    part = excerpt(text, question, room)

    assert part in text
    assert size(part) <= room


def test_an_excerpt_is_around_what_is_asked():
    long = "Nothing here. " * 20 + "The ferry leaves at dawn. It is blue. " + "Nothing there. " * 20

    assert "The ferry leaves at dawn." in excerpt(long, "When does the ferry leave?", 60)


@given(text, st.lists(text, min_size=1, max_size=12), st.integers(800, 4000))
def test_a_prompt_keeps_within_its_budget(question: str, texts: list[str], budget: int):
    prompt = pack(question, [passage(text * 20) for text in texts], budget)

    assert size_of(prompt) <= budget
    assert 1 <= prompt.sources <= len(texts)


@given(st.lists(st.sampled_from([*CONTROL, "a", " "]), max_size=12).map("".join))
def test_a_source_can_not_pass_for_a_part_of_the_form(text: str):
    cleaned = plain(text)

    assert not re.search(r"<\|im_(start|end)\|>|^#|\[/?INST\]|</s>|\[\d{1,3}\]", cleaned, re.MULTILINE)


def test_sources_are_numbered_and_name_title_and_page():
    prompt = pack("Who?", [passage("One.", document="first"), passage("Two.", document="second", page=7)], 2000)

    content = prompt.messages[-1].content
    assert "## [1] first, p. 1\nOne." in content
    assert "## [2] second, p. 7\nTwo." in content
    assert prompt.sources == 2


def test_the_model_is_told_its_task_in_the_language_of_the_question():
    assert "quoted text" in pack("Who?", [passage("One.")], 2000).messages[0].content
    assert "资料" in pack("谁？", [passage("One.")], 2000).messages[0].content


def test_what_a_short_source_leaves_a_long_one_gets():
    long = "A sentence about ferries. " * 60
    alone = pack("Ferries?", [passage(long), passage(long)], 1600)
    beside = pack("Ferries?", [passage("Short."), passage(long)], 1600)

    assert beside.messages[-1].content.count("ferries") > alone.messages[-1].content.count("ferries") / 2


def test_terms_are_stems_and_pairs_without_what_says_nothing():
    assert terms("The generator generates 3 ideas") == {"generator", "generat", "idea"}
    assert terms("铁塔的高度") == {"铁塔", "高度"}
    assert numbers("In 1889, 1,000 and 3.14.") == {"1889", "1000", "3.14"}
