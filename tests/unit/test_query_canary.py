"""A model on trial gets its share of the answers, harms nobody, and is refused where it is bad."""

import random
from contextlib import aclosing

import pytest

from ragmesh.errors import Unavailable
from ragmesh.inference.port import LanguageModel, Message, Sampling
from svc_query import canary
from svc_query.canary import FAILURES_MAX, Trial
from tests.query_fakes import ScriptedModel

ASK = [Message("user", "When?")]


class Refusals(list[str]):
    """What the trial said, and to whom."""


def trial(tried: ScriptedModel, percent: int = 100) -> tuple[Trial, Refusals]:
    refusals = Refusals()
    return Trial(ScriptedModel("sound"), tried, percent, refusals.append), refusals


async def text_of(model: LanguageModel) -> str:
    async with aclosing(model.generate(ASK, Sampling())) as pieces:
        return "".join([piece.text async for piece in pieces])


async def test_a_trial_gets_about_its_share():
    random.seed(7)
    under_way, _ = trial(ScriptedModel("new"), percent=20)

    answers = [await text_of(under_way.pick()) for _ in range(500)]

    assert 60 <= answers.count("new") <= 140
    assert set(answers) == {"new", "sound"}


async def test_where_the_tried_model_can_not_begin_the_one_in_use_writes():
    under_way, refusals = trial(ScriptedModel(fault=Unavailable("its process has died")))
    model = under_way.pick()

    assert await text_of(model) == "sound"
    assert model.info is under_way.used.info
    assert refusals == []


async def test_who_keeps_failing_is_refused_with_the_reason():
    under_way, refusals = trial(ScriptedModel(fault=Unavailable("its process has died")))

    for _ in range(FAILURES_MAX):
        await text_of(under_way.pick())

    assert len(refusals) == 1
    assert refusals[0].startswith("scripted@1: 3 of its latest 3 answers failed: its process has died")


async def test_an_answer_that_breaks_off_is_not_begun_anew_by_another():
    under_way, _ = trial(ScriptedModel("half", fault=Unavailable("its process has died")))

    with pytest.raises(Unavailable):
        await text_of(under_way.pick())


async def test_who_begins_much_later_than_the_one_in_use_is_refused(monkeypatch):
    monkeypatch.setattr(canary, "COMPARED_MIN", 2)
    under_way, refusals = trial(ScriptedModel("new"))
    for seconds in (0.1, 0.1, 0.1):
        under_way.of_used.good(seconds)
    for seconds in (0.5, 0.5, 0.5):
        under_way.of_tried.good(seconds)

    await text_of(under_way.pick())

    assert refusals == ["scripted@1: its first token takes 0.50 s, that of the model in use 0.10 s"]
