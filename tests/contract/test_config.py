"""The promise of `ragmesh.rpc.config.port.ConfigStore`, kept by a file and by Consul; and of Live on top of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import Aborted, InvalidArgument
from ragmesh.rpc.config import ConfigStore, Live, open_config
from ragmesh.rpc.config.live import parse
from ragmesh.settings import DYNAMIC, Settings
from ragmesh.telemetry import logs
from ragmesh.v1 import SetConfigRequest
from svc_admin.configuration import Configuration
from tests.servers import Server


@pytest.fixture(params=["file", "consul"])
def consul_if_used(request: pytest.FixtureRequest) -> Server | None:
    return request.getfixturevalue("consul") if request.param == "consul" else None


@pytest.fixture
async def store(consul_if_used: Server | None, tmp_path: Path) -> AsyncIterator[ConfigStore]:
    if consul_if_used is None:
        yield open_config(Settings(data_dir=tmp_path))
        return
    yield open_config(Settings(discovery_url=consul_if_used.url))
    url = f"http://{consul_if_used.address}/v1/kv/ragmesh/config?recurse"
    async with aiohttp.ClientSession() as session, session.delete(url) as response:
        assert response.status == 200


async def until(live: Live, condition: Callable[[], bool]) -> None:
    while not condition():
        await live.changed(live.changes)


async def test_a_file_that_someone_broke_is_told_and_followed_again_when_it_is_mended(tmp_path: Path):
    live, store = Live(Settings()), open_config(Settings(data_dir=tmp_path))
    async with asyncio.timeout(10), live.following(store):
        await store.write("answers_max", "3")
        await until(live, lambda: live.now.answers_max == 3)
        whole = (tmp_path / "config.json").read_text()

        (tmp_path / "config.json").write_text("{ oops")
        await asyncio.sleep(0.6)  # it looks twice a second, and nothing is to happen
        assert live.now.answers_max == 3

        (tmp_path / "config.json").write_text(whole.replace('"3"', '"4"'))
        await until(live, lambda: live.now.answers_max == 4)


async def test_nothing_was_changed_at_first(store: ConfigStore):
    snapshot = await store.read()

    assert (snapshot.revision, dict(snapshot.values)) == (0, {})


async def test_what_is_written_is_read_and_can_be_taken_back(store: ConfigStore):
    await store.write("log_level", "DEBUG")
    await store.write("answers_max", "3")
    first = await store.read()
    await store.write("log_level", None)
    second = await store.read()

    assert dict(first.values) == {"log_level": "DEBUG", "answers_max": "3"}
    assert dict(second.values) == {"answers_max": "3"}
    assert second.revision > first.revision > 0


async def test_a_change_of_what_somebody_else_has_changed_is_aborted(store: ConfigStore):
    await store.write("log_level", "DEBUG")
    seen = (await store.read()).revision
    await store.write("answers_max", "3")

    with pytest.raises(Aborted, match="read them again"):
        await store.write("log_level", "ERROR", expected_revision=seen)

    assert (await store.read()).values["log_level"] == "DEBUG"


async def test_of_many_who_change_the_same_revision_one_succeeds(store: ConfigStore):
    await store.write("log_level", "INFO")
    seen = (await store.read()).revision

    outcomes = await asyncio.gather(
        *(store.write("answers_max", str(number), expected_revision=seen) for number in range(1, 7)),
        return_exceptions=True,
    )

    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, Aborted) for outcome in outcomes if outcome)


async def test_watchers_hear_of_changes(store: ConfigStore):
    async with asyncio.timeout(10), aclosing(store.snapshots()) as snapshots:
        assert dict((await anext(snapshots)).values) == {}
        await store.write("answers_max", "3")

        async for snapshot in snapshots:
            if snapshot.values:
                break

    assert dict(snapshot.values) == {"answers_max": "3"}


async def test_a_process_follows_and_refuses_what_can_not_be(store: ConfigStore):
    live = Live(Settings(answers_max=5))
    async with asyncio.timeout(20), live.following(store):
        await store.write("answers_max", "7")
        await until(live, lambda: live.now.answers_max == 7)

        await store.write("answers_max", "many")
        await until(live, lambda: "answers_max" in live.refused)
        assert live.now.answers_max == 7
        assert "valid integer" in live.refused["answers_max"]

        await store.write("answers_max", None)
        await until(live, lambda: live.now.answers_max == 5)
        assert not live.refused


async def test_the_log_level_changes_at_once(store: ConfigStore):
    root, live = logging.getLogger(), Live(Settings())
    before = root.level
    live.listen(lambda now: logs.set_level(now.log_level))
    try:
        async with asyncio.timeout(10), live.following(store):
            await store.write("log_level", "critical")
            await until(live, lambda: live.now.log_level == "CRITICAL")

            assert root.level == logging.CRITICAL
    finally:
        root.setLevel(before)


async def test_operators_see_what_was_changed_and_are_told_what_would_be_right(store: ConfigStore):
    configuration = Configuration(Live(Settings()), store)

    config = await configuration.change(SetConfigRequest(key="RAGMESH_SEARCH_RESULTS", value="12"))
    changed = {setting.key: setting for setting in config.settings}["RAGMESH_SEARCH_RESULTS"]
    assert (changed.value, changed.source, changed.dynamic) == ("12", "dynamic", True)

    with pytest.raises(InvalidArgument, match="less than or equal to 100"):
        await configuration.change(SetConfigRequest(key="RAGMESH_SEARCH_RESULTS", value="1000"))
    with pytest.raises(InvalidArgument, match="these can: RAGMESH_"):
        await configuration.change(SetConfigRequest(key="RAGMESH_MILVUS_URI", value="http://elsewhere"))
    with pytest.raises(Aborted):
        await configuration.change(
            SetConfigRequest(key="RAGMESH_SEARCH_RESULTS", value="9", expected_revision=config.revision + 1)
        )


@given(name=st.sampled_from(sorted(DYNAMIC)), text=st.text(max_size=20))
def test_any_text_is_a_good_value_or_refused_with_a_reason(name: str, text: str):
    value, reason = None, ""
    try:
        value = parse(name, text)
    except InvalidArgument as error:
        reason = error.message

    if reason:
        assert name.upper() in reason
    else:
        assert getattr(Settings.model_validate({name: value}), name) == value
