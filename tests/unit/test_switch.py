"""What a dynamic setting names is exchanged while it is used."""

import asyncio

import pytest

from ragmesh.errors import Unavailable
from ragmesh.rpc.config import Live, Snapshot
from ragmesh.rpc.config import switch as switching
from ragmesh.rpc.config.switch import Switch
from ragmesh.settings import Settings


class Opened:
    """What was opened, and what fails to."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failing = 0
        self.asked = asyncio.Event()

    async def __call__(self, name: str) -> str:
        self.asked.set()
        if self.failing:
            self.failing -= 1
            raise Unavailable("not yet")
        self.names.append(name)
        return name.upper()


async def until(switch: Switch[str, str], value: str) -> None:
    async with asyncio.timeout(5):
        while switch.now != value:  # noqa: ASYNC110 it tells nobody
            await asyncio.sleep(0.001)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(switching, "RETRY_S", 0.001)


async def test_what_is_named_next_is_opened_before_it_takes_the_place_of_the_old():
    live, opened = Live(Settings(llm_model="a@1")), Opened()
    async with Switch(live, lambda now: now.llm_model, opened) as switch:
        assert switch.now == "A@1"

        await live.take(Snapshot(1, {"llm_model": "b@1"}))
        await until(switch, "B@1")

    assert opened.names == ["a@1", "b@1"]


async def test_while_the_next_one_can_not_be_opened_the_old_one_stays(quick):
    live, opened = Live(Settings(llm_model="a@1")), Opened()
    async with Switch(live, lambda now: now.llm_model, opened) as switch:
        opened.failing, opened.asked = 3, asyncio.Event()
        await live.take(Snapshot(1, {"llm_model": "b@1"}))
        await opened.asked.wait()
        assert switch.now == "A@1"

        await until(switch, "B@1")


async def test_a_change_of_mind_while_it_waits_is_followed(quick):
    live, opened = Live(Settings(llm_model="a@1")), Opened()
    async with Switch(live, lambda now: now.llm_model, opened) as switch:
        opened.failing = 10_000
        await live.take(Snapshot(1, {"llm_model": "b@1"}))
        await live.take(Snapshot(2, {"llm_model": "c@1"}))
        opened.failing = 0

        await until(switch, "C@1")
