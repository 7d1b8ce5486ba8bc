"""The supervisor's policies, on small processes and files of their own."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.settings import Settings
from ragmesh.up import secret, state
from ragmesh.up.keeper import Backoff, Keeper, Phase
from ragmesh.up.logfile import LogFile
from ragmesh.up.plan import PORTS, BadReplicas, PortTaken, Program, edge_port, free_ports, plan

QUICK = Backoff(first_s=0.01, max_s=0.02, stable_s=60)


def program(code: str, address: str = "127.0.0.1:1") -> Program:
    return Program("small", (sys.executable, "-c", code), {}, address)


@pytest.fixture
async def kept(tmp_path):
    """Keeps programs while the test runs; returns a keeper and the queue of its news."""
    tasks = []

    def keep(wanted: Program) -> tuple[Keeper, asyncio.Queue]:
        news: asyncio.Queue[tuple[Phase, int]] = asyncio.Queue()
        keeper = Keeper(wanted, tmp_path / "logs", lambda it: news.put_nowait((it.phase, it.process.pid)), QUICK)
        tasks.append(asyncio.create_task(keeper.keep()))
        return keeper, news

    yield keep
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until(news: asyncio.Queue, phase: Phase) -> int:
    """The process id with the next news of a phase."""
    async with asyncio.timeout(20):
        while True:
            seen, pid = await news.get()
            if seen is phase:
                return pid


async def until_gone(pid: int) -> None:
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 no event here
        await asyncio.sleep(0.02)


@given(failures=st.integers(1, 60))
def test_waits_grow_up_to_a_bound_and_differ(failures):
    policy = Backoff(first_s=0.5, max_s=10, stable_s=20)
    full = min(10, 0.5 * 2 ** (failures - 1))

    assert full / 2 <= policy.delay_s(failures) <= full


def test_a_process_that_was_stable_starts_over_with_short_waits():
    policy = Backoff(stable_s=20)

    assert policy.failures(5, lived_s=1) == 6
    assert policy.failures(5, lived_s=21) == 1


async def test_a_process_that_ends_is_started_again_and_its_last_words_are_kept(kept, tmp_path):
    keeper, news = kept(program("import sys; print('working'); sys.exit('out of paper')"))

    first = await until(news, Phase.STARTING)
    await until(news, Phase.WAITING)
    second = await until(news, Phase.STARTING)

    assert first != second
    assert (keeper.last_exit, keeper.last_words) == (1, "out of paper")
    assert (tmp_path / "logs" / "small.log").read_text().startswith("working\nout of paper\n")


async def test_a_process_is_running_once_it_listens(kept):
    (port,) = free_ports(1)
    listening = f"import socket; server = socket.create_server(('127.0.0.1', {port}))\nwhile True: server.accept()"
    _, news = kept(program(listening, f"127.0.0.1:{port}"))

    starting = await until(news, Phase.STARTING)

    assert await until(news, Phase.RUNNING) == starting


def test_a_log_is_moved_aside_when_it_is_large_while_its_process_writes_on(tmp_path):
    log = LogFile(tmp_path / "logs" / "small.log", max_bytes=10)
    with log.open() as process:
        process.write(b"the first line\n")
        process.flush()

        log.rotate_when_large()
        process.write(b"second\n\n")
        process.flush()
        log.rotate_when_large()

    assert (tmp_path / "logs" / "small.log.1").read_text() == "the first line\n"
    assert log.path.read_text() == "second\n\n"
    assert log.last_line() == "second"


async def test_what_a_process_leaves_behind_is_ended_with_it(kept):
    child = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    keeper, news = kept(program(child))

    await until(news, Phase.WAITING)

    async with asyncio.timeout(10):
        await until_gone(int(keeper.last_words))


async def test_stopping_ends_the_process(tmp_path):
    started = asyncio.Event()
    keeper = Keeper(program("import time; time.sleep(600)"), tmp_path, lambda _: started.set(), QUICK)
    keeping = asyncio.create_task(keeper.keep())
    await started.wait()

    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

    assert keeper.phase is Phase.STOPPED
    assert keeper.process
    assert not keeper.process.is_alive()


def test_ports_inside_are_free_different_and_not_the_kernels():
    ports = free_ports(8)

    assert len(set(ports)) == 8
    assert set(ports) <= set(PORTS)


def test_a_taken_port_is_refused_and_its_owner_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"port {port} is taken by process {os.getpid()} .* --port"):
            edge_port(Settings(port=port))


def test_every_process_is_told_the_same_addresses(tmp_path):
    planned = plan(Settings(data_dir=tmp_path, port=0))
    told = [program.environment for program in planned.programs]

    assert [program.name for program in planned.programs] == [
        "triton", "milvus", "document", "worker", "query", "admin", "gateway",
    ]  # fmt: skip
    for name in ("RAGMESH_TRITON_URL", "RAGMESH_MILVUS_URI", "RAGMESH_DISCOVERY_URL", "RAGMESH_PORT"):
        assert len({environment[name] for environment in told}) == 1
    for service in planned.programs[2:]:
        assert (
            f"{service.name}={service.environment['RAGMESH_LISTEN']}"
            in service.environment["RAGMESH_DISCOVERY_URL"]
        )
    assert len({program.address for program in planned.programs}) == 7


def test_replicas_are_processes_of_their_own_that_every_caller_is_told_of(tmp_path):
    planned = plan(Settings(data_dir=tmp_path, port=0), {"query": 2, "worker": 3})
    by_name = {program.name: program for program in planned.programs}

    assert {"query", "query-2", "worker", "worker-2", "worker-3"} < by_name.keys()
    assert by_name["worker-3"].command == by_name["worker"].command
    for name in ("query", "query-2"):
        assert f"query={by_name[name].address}" in planned.settings.discovery_url.split(":", 1)[1].split(",")


@pytest.mark.parametrize(
    ("replicas", "advice"),
    [
        ({"qurey": 2}, "choose from document"),
        ({"gateway": 2}, "load balancer"),
        ({"query": 0}, "at least one"),
        ({"query": 100_000}, "at most"),
    ],
)
def test_replicas_that_cannot_be_are_refused(tmp_path, replicas, advice):
    with pytest.raises(BadReplicas, match=advice):
        plan(Settings(data_dir=tmp_path, port=0), replicas)


def test_the_mesh_profile_starts_its_servers_and_tells_every_process_where_they_are(tmp_path):
    planned = plan(Settings(profile="mesh", data_dir=tmp_path, port=0))
    by_name = {program.name: program for program in planned.programs}

    for name, setting in {
        "consul": "DISCOVERY_URL",
        "kafka": "EVENTS_URL",
        "postgres": "DATABASE_URL",
        "redis": "CACHE_URL",
    }.items():
        assert by_name[name].is_backing
        assert by_name[name].address in by_name["document"].environment[f"RAGMESH_{setting}"]


def test_a_server_whose_address_is_set_is_somebody_elses_and_not_started(tmp_path):
    elsewhere = Settings(
        profile="mesh",
        data_dir=tmp_path,
        port=0,
        database_url="postgresql+asyncpg://db/r",
        milvus_uri="http://vectors:1",
    )

    planned = plan(elsewhere)

    assert not {"postgres", "milvus"} & {program.name for program in planned.programs}
    told = planned.programs[-1].environment
    assert (told["RAGMESH_DATABASE_URL"], told["RAGMESH_MILVUS_URI"]) == (
        "postgresql+asyncpg://db/r",
        "http://vectors:1",
    )


def test_a_data_folder_is_held_by_one_and_the_holder_is_named(tmp_path):
    with (
        state.locked(tmp_path),
        pytest.raises(state.AlreadyRunning, match=f"process {os.getpid()}"),
        state.locked(tmp_path),
    ):
        pass

    with state.locked(tmp_path):
        pass


def test_clients_find_the_mesh_that_runs_on_their_data_folder(tmp_path):
    planned = plan(Settings(data_dir=tmp_path, port=0))
    mine = Settings(data_dir=tmp_path)
    (tmp_path / "run").mkdir()
    assert state.of_running_mesh(mine) == mine

    state.write(planned, {})

    assert state.of_running_mesh(mine).discovery_url == planned.settings.discovery_url
    state.remove(tmp_path)
    assert state.read(tmp_path) is None


def test_a_closed_mesh_makes_its_secret_once_for_its_owner_and_the_command_of_that_owner_finds_it(tmp_path):
    settings = secret.ensured(Settings(data_dir=tmp_path, port=0, auth="required"))
    made = settings.service_secret.get_secret_value()
    planned = plan(settings)
    (tmp_path / "run").mkdir()
    state.write(planned, {})

    assert len(made) >= 64
    assert secret.ensured(Settings(data_dir=tmp_path, auth="required")).service_secret.get_secret_value() == made
    assert (tmp_path / "service.secret").stat().st_mode & 0o777 == 0o600
    assert {program.environment["RAGMESH_SERVICE_SECRET"] for program in planned.programs} == {made}
    found = state.of_running_mesh(Settings(data_dir=tmp_path))
    assert (found.auth, found.service_secret.get_secret_value()) == ("required", made)
    assert made not in (tmp_path / "run" / "mesh.json").read_text()


def test_an_open_mesh_has_no_secret_and_one_that_is_set_is_not_replaced(tmp_path):
    given = Settings(data_dir=tmp_path, auth="required", service_secret="s" * 32)

    assert secret.ensured(Settings(data_dir=tmp_path)).service_secret.get_secret_value() == ""
    assert secret.ensured(given) == given
    assert list(tmp_path.iterdir()) == []


def test_a_state_whose_process_is_gone_or_replaced_is_nobodys(tmp_path):
    planned = plan(Settings(data_dir=tmp_path, port=0))
    (tmp_path / "run").mkdir()
    state.write(planned, {})
    file = tmp_path / "run" / "mesh.json"
    written = json.loads(file.read_text())

    file.write_text(json.dumps({**written, "started": written["started"] - 100}))
    assert state.read(tmp_path) is None

    file.write_text("{ half of")
    assert state.read(tmp_path) is None


def test_leftovers_of_this_data_folder_are_ended_and_no_one_elses(tmp_path):
    planned = plan(Settings(data_dir=tmp_path, port=0))
    (tmp_path / "run").mkdir()
    sleeping = ("sleep", "600")
    mine, other = (
        subprocess.Popen(sleeping, start_new_session=True, env={**os.environ, "RAGMESH_DATA_DIR": folder})
        for folder in (str(tmp_path), "/elsewhere")
    )
    state.write(planned, {"mine": state.ProcessId.of(mine.pid), "other": state.ProcessId.of(other.pid)})

    try:
        assert state.remove_leftovers(tmp_path) == 1
        assert not psutil.pid_exists(mine.pid)
        assert other.poll() is None
        assert not (tmp_path / "run" / "mesh.json").exists()
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()


def test_a_process_number_alone_is_not_a_process():
    me = state.ProcessId.of(os.getpid())

    assert me.is_alive()
    assert not replace(me, started=me.started - 100).is_alive()
