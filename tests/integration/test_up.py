"""`ragmesh up`, the real one: it says when it is ready, is alone on its data, and leaves nothing behind."""

import asyncio
import json
import signal
import sys

import psutil

from ragmesh.inference.server import SHARED_MEMORY, region_prefix
from ragmesh.settings import Settings
from tests.mesh import Mesh, running_mesh
from tests.triton_server import CACHE

ENVIRONMENT = {"RAGMESH_MODELS_DIR": str(CACHE / "repository")}


def processes_of(data_dir) -> set[int]:
    """Whatever runs with this data folder in its environment."""
    found = set()
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("RAGMESH_DATA_DIR") == str(data_dir)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.add(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def shared_memory_of(data_dir) -> list:
    return list(SHARED_MEMORY.glob(f"{region_prefix(Settings(data_dir=data_dir))}*"))


async def ragmesh(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ragmesh.cli", *arguments),
        env={**psutil.Process().environ(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


async def said_twice(mesh: Mesh) -> None:
    code, output = await ragmesh("up", "--data-dir", str(mesh.data_dir), "--port", "0", **ENVIRONMENT)

    assert code == 1
    assert f"already, as process {mesh.process.pid}" in output


async def commands_find_it(mesh: Mesh, tmp_path) -> None:
    (tmp_path / "note[1].md").write_text("# Ferry\n\nThe ferry leaves pier four at half past six.\n")
    (tmp_path / "empty.txt").write_text("")
    here = ("--data-dir", str(mesh.data_dir))

    code, output = await ragmesh("add", str(tmp_path / "note[1].md"), str(tmp_path / "empty.txt"), *here)
    assert (code, "1 documents ready" in output, "empty.txt" in output) == (1, True, True), output
    code, output = await ragmesh("add", str(tmp_path / "note[1].md"), *here)
    assert (code, "there already" in output) == (0, True), output
    code, output = await ragmesh("search", "When does the ferry leave?", *here)
    assert (code, "note[1].md" in output) == (0, True), output
    code, output = await ragmesh("ask", "When does the ferry leave?", "--json", *here)
    assert (code, bool(json.loads(output)["answer"])) == (0, True), output
    code, output = await ragmesh("status", *here)
    assert (code, output.count("SERVING"), "1 READY" in output) == (0, 7, True), output


async def test_a_mesh_is_alone_on_its_data_serves_commands_and_leaves_nothing_behind(tmp_path):
    data_dir = tmp_path / "data"

    async with running_mesh(data_dir, **ENVIRONMENT) as mesh:
        assert (await mesh.call("GET", "/readyz"))[0] == 200
        await said_twice(mesh)
        await commands_find_it(mesh, tmp_path)
        assert len(processes_of(data_dir)) >= 7
        assert shared_memory_of(data_dir)

    assert mesh.process.returncode == 0
    assert processes_of(data_dir) == set()
    assert shared_memory_of(data_dir) == []
    assert not (data_dir / "run" / "mesh.json").exists()


async def test_a_killed_supervisor_takes_its_processes_along_and_the_next_start_cleans_up(tmp_path):
    data_dir = tmp_path / "data"
    async with running_mesh(data_dir, **ENVIRONMENT) as mesh:
        mesh.process.send_signal(signal.SIGKILL)
        await mesh.process.wait()
        services = [mesh.state()["processes"][name]["pid"] for name in ("document", "query", "gateway")]
        _, alive = await asyncio.to_thread(
            psutil.wait_procs, [psutil.Process(pid) for pid in services if psutil.pid_exists(pid)], 10
        )
    assert not alive

    code, output = await ragmesh("status", "--data-dir", str(data_dir))
    assert (code, "start it with" in output) == (5, True), output

    async with running_mesh(data_dir, **ENVIRONMENT) as mesh:
        running = processes_of(data_dir)
        groups = {entry["pid"] for entry in mesh.state()["processes"].values()}
        assert {psutil.Process(pid).pid for pid in running if pid not in groups} <= descendants(groups)

    assert processes_of(data_dir) == set()
    assert shared_memory_of(data_dir) == []


def descendants(pids: set[int]) -> set[int]:
    return {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)}
