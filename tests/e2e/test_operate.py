"""What an operator does with a mesh that runs: change a setting, look at what was given up, and try it again."""

import asyncio
import os
import sys

from tests.mesh import Mesh


async def ragmesh(mesh: Mesh, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ragmesh.cli", *arguments, "--data-dir", str(mesh.data_dir)),
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_setting_changes_in_the_running_mesh_and_a_bad_one_is_refused(mesh: Mesh):
    assert await ragmesh(mesh, "set", "RAGMESH_SEARCH_RESULTS", "1") == (
        0,
        "RAGMESH_SEARCH_RESULTS is 1 (dynamic)\n",
    )
    await mesh.call("POST", "/v1/collections", json={"name": "operated"})
    for name in ("a", "b"):
        await mesh.add(f"{name}.txt", f"the {name} ferry leaves at noon".encode(), collection="operated")
    async with asyncio.timeout(10):
        while len(await mesh.search("ferry", collection="operated")) != 1:  # noqa: ASYNC110 it is another process\'s event
            await asyncio.sleep(0.1)

    code, said = await ragmesh(mesh, "set", "RAGMESH_SEARCH_RESULTS", "none")
    assert code == 2
    assert "valid integer" in said
    assert (await ragmesh(mesh, "set", "RAGMESH_SEARCH_RESULTS", ""))[
        1
    ] == "RAGMESH_SEARCH_RESULTS is 8 (default)\n"


async def test_what_was_given_up_is_listed_and_queued_again(mesh: Mesh):
    _, broken = await mesh.add("broken.pdf", b"%PDF-1.7 and nothing more")
    assert broken["state"] == "FAILED"

    code, said = await ragmesh(mesh, "dead-letters", "--replay")

    assert code == 0
    assert broken["id"] in said
    assert "queued again" in said
    async with asyncio.timeout(20):
        while True:
            seen = (await mesh.call("GET", f"/v1/documents/{broken['id']}"))[1]
            if seen["state"] == "FAILED" and seen["generation"] > broken["generation"]:
                break
            await asyncio.sleep(0.1)


async def test_requests_of_the_edge_are_counted_as_its_work(mesh: Mesh):
    async def handled() -> int:
        _, body = await mesh.call("GET", "/v1/admin/mesh")
        (gateway,) = [each for each in body["instances"] if each["service"] == "gateway"]
        assert gateway["in_flight"] >= 1, "this very request is under way"
        return gateway["requests"]

    before = await handled()
    for _ in range(3):
        await mesh.search("ferry")

    assert await handled() >= before + 4
