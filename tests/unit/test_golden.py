"""Golden questions: who may be put to use, and why not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ragmesh.errors import FailedPrecondition
from ragmesh.inference import golden
from ragmesh.inference.golden import Measure
from ragmesh.inference.port import EmbedderInfo, Role
from tests.query_fakes import LetterEmbedder, ScriptedModel

QUESTIONS = golden.read(None)


class Knowing:
    """An embedder that knows the golden pairs, but for the first `wrong` of them."""

    info = EmbedderInfo("knowing", "1", 64, 512, frozenset({"en"}), "", "")

    def __init__(self, wrong: int = 0) -> None:
        pairs = [pair for pair in QUESTIONS.pairs if pair.language == "en"]
        self._places = {pair.passage: place for place, pair in enumerate(pairs)}
        self._places |= {pair.question: place + 20 * (place < wrong) for place, pair in enumerate(pairs)}

    async def embed(self, texts: Sequence[str], role: Role) -> np.ndarray:
        return np.eye(64, dtype=np.float32)[[self._places[text] for text in texts]]


class Broken(Knowing):
    """One whose vectors are no numbers."""

    async def embed(self, texts: Sequence[str], role: Role) -> np.ndarray:
        return np.full((len(texts), 64), np.nan, np.float32)


async def test_an_embedder_that_finds_its_passages_may_be_used():
    verdict = await golden.of_embedder(Knowing(), None, QUESTIONS)

    assert verdict.passed
    assert verdict.reason == ""
    assert [measure.name for measure in verdict.measures] == ["recall@1", "ms"]


@pytest.mark.parametrize("candidate", [LetterEmbedder(), Broken(), Knowing(wrong=3)])
async def test_one_that_does_not_may_not_be_and_the_reason_has_the_figure(candidate):
    verdict = await golden.of_embedder(candidate, None, QUESTIONS)

    assert not verdict.passed
    assert verdict.reason.startswith("recall@1 is 0.")
    assert "must be at least 0.80" in verdict.reason


async def test_where_one_is_in_use_a_little_worse_is_good_enough():
    verdict = await golden.of_embedder(Knowing(wrong=3), Knowing(wrong=3), QUESTIONS)

    assert verdict.passed
    assert verdict.measures[0].present == verdict.measures[0].value


async def test_a_language_model_must_say_what_it_was_given():
    said = " ".join(fact.says for fact in QUESTIONS.facts)

    assert (await golden.of_language_model(ScriptedModel(said), None, QUESTIONS)).passed
    mute = await golden.of_language_model(ScriptedModel("I am a model."), ScriptedModel(said), QUESTIONS)
    assert mute.reason == "answered is 0.00, and must be at least 0.25"


async def test_a_language_model_that_says_nothing_does_not_pass():
    verdict = await golden.of_language_model(ScriptedModel(), None, QUESTIONS)

    assert not verdict.passed


def test_what_is_slow_does_not_pass():
    slow = Measure("ms", 900.0, 100.0, 500.0, more_is_better=False)

    assert str(slow) == "ms is 900.00, and must be at most 500.00"
    assert not slow.passed


async def test_a_language_that_no_question_is_in_is_told():
    class Finnish(Knowing):
        info = EmbedderInfo("suomi", "1", 64, 512, frozenset({"fi"}), "", "")

    with pytest.raises(FailedPrecondition, match="no golden question is in fi"):
        await golden.of_embedder(Finnish(), None, QUESTIONS)


@pytest.mark.parametrize("text", ["pairs: []\nfacts: []", "pairs: [", "questions: 3"])
def test_a_file_that_is_none_of_golden_questions_is_told(tmp_path: Path, text: str):
    (tmp_path / "golden.yaml").write_text(text)

    with pytest.raises(FailedPrecondition, match=r"golden\.yaml"):
        golden.read(tmp_path / "golden.yaml")
