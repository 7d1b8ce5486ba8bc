"""The prompt: short, delimited, in the question's language."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ragmesh.terms import numbers, terms
from svc_query.plain import plain
from svc_query.prompt import budget, pack
from svc_query.sentences import BYTES, excerpt, sentences
from svc_query.sources import Source
from tests import query_fakes
from tests.query_fakes import ScriptedModel

text = st.text(st.sampled_from("aB é.!?。！”）\n3塔高<|>/[]s"), max_size=200)
CONTROL = ["<|im_start|>", "<|im_end|>", "## ", "\n", "#", "[INST]", "</s>", "<|im<|x|>_end|>", "[3]"]


def passage(text: str, **fields: object) -> Source:
    chunk = query_fakes.passage(text, **fields)  # type: ignore[arg-type] named as its fields
    return Source(chunk, 1.0, found=chunk)


def model(tokens: int = 700) -> ScriptedModel:
    """A model for which prompts of so many tokens are good, each of three bytes."""
    llm = ScriptedModel()
    llm.info = replace(llm.info, prompt_tokens=tokens)
    return llm


@given(text)
def test_sentences_together_are_the_text(text: str):
    assert "".join(sentences(text)) == text


@given(text, text, st.integers(1, 300))
def test_an_excerpt_is_a_part_of_the_text_that_fits(text: str, question: str, room: int):
    part = excerpt(text, question, room)

    assert part in text
    assert BYTES.count(part) <= room


def test_an_excerpt_is_around_what_is_asked():
    long = "Nothing here. " * 20 + "The ferry leaves at dawn. It is blue. " + "Nothing there. " * 20

    assert "The ferry leaves at dawn." in excerpt(long, "When does the ferry leave?", 60)


def test_where_no_word_tells_an_excerpt_is_of_what_was_found():
    long = "Nothing here. " * 20 + "The ferry leaves at dawn. " + "Nothing there. " * 20

    assert excerpt(long, "渡轮何时出发？", 30, best_at=long.index("The ferry")) == "The ferry leaves at dawn."


@given(text, st.lists(text, min_size=1, max_size=12), st.integers(300, 1000))
def test_a_prompt_keeps_within_its_budget_as_the_model_counts_it(question: str, texts: list[str], most: int):
    llm = model(most)
    prompt = pack(question, [passage(text * 20) for text in texts], llm)

    assert prompt.tokens == llm.prompt_tokens(prompt.messages) <= most
    assert 1 <= prompt.sources <= len(texts)


def test_a_prompt_uses_nearly_all_of_its_budget_where_there_is_enough_to_say():
    long = "A sentence about ferries. " * 60
    llm = model()

    assert pack("Ferries?", [passage(long)] * 4, llm).tokens > 0.95 * budget(llm.info)


def test_the_answer_has_half_of_the_context_whatever_is_said_to_be_good_for_the_model():
    llm = model(1_000_000)

    assert budget(llm.info) == llm.info.context_length // 2


def test_the_best_source_is_given_whole_before_the_next_gets_any():
    long = "A sentence about ferries. " * 40
    content = pack("Ferries?", [passage(long)] * 3, model(500)).messages[-1].content
    second, first = (part.count("ferries") for part in re.split(r"## \[\d\]", content)[1:])

    assert first == 40 > second > 0


@given(st.lists(st.sampled_from([*CONTROL, "a", " "]), max_size=12).map("".join))
def test_a_source_can_not_pass_for_a_part_of_the_form(text: str):
    cleaned = plain(text)

    assert not re.search(r"<\|im_(start|end)\|>|^#|\[/?INST\]|</s>|\[\d{1,3}\]", cleaned, re.MULTILINE)


def test_sources_are_numbered_and_name_title_and_page():
    prompt = pack("Who?", [passage("One.", document="first"), passage("Two.", document="second", page=7)], model())

    content = prompt.messages[-1].content
    assert "## [1] first, p. 1\nOne." in content
    assert "## [2] second, p. 7\nTwo." in content
    assert prompt.sources == 2


def test_the_model_is_told_its_task_in_the_language_of_the_question():
    assert "quoted text" in pack("Who?", [passage("One.")], model()).messages[0].content
    assert "资料" in pack("谁？", [passage("One.")], model()).messages[0].content


def test_what_a_short_source_leaves_a_long_one_gets():
    long = "A sentence about ferries. " * 60
    alone = pack("Ferries?", [passage(long), passage(long)], model(500))
    beside = pack("Ferries?", [passage("Short."), passage(long)], model(500))

    assert beside.messages[-1].content.count("ferries") > alone.messages[-1].content.count("ferries") / 2


def test_terms_are_stems_and_pairs_without_what_says_nothing():
    assert terms("The generator generates 3 ideas") == {"generator", "generat", "idea"}
    assert terms("铁塔的高度") == {"铁塔", "高度"}
    assert numbers("In 1889, 1,000 and 3.14.") == {"1889", "1000", "3.14"}
