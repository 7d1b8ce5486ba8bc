"""What OpenAI's SDKs make of answers that break off: those of a real mesh don't when they are told to."""

import pytest

from ragmesh.v1 import AnswerError, AnswerEvent
from tests.client_programs import NODE, PYTHON, run
from tests.edge import ANSWER, an_edge


@pytest.mark.parametrize(("interpreter", "program"), [(PYTHON, "broken_streams.py"), (NODE, "broken_streams.mjs")])
async def test_an_official_sdk_raises_what_broke_an_answer_off(interpreter, program):
    async with an_edge() as edge:
        edge.queries.events = [
            *ANSWER[:2],
            AnswerEvent(error=AnswerError(code="UNAVAILABLE", message="the model died")),
        ]

        output = await run(interpreter, program, str(edge.client.make_url("")).rstrip("/"), "teas")

    assert output.count("ok ") == 2
