"""The command against a whole mesh, and the examples of its guide."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from tests.mesh import Mesh

GUIDE = Path(__file__).parents[2] / "docs" / "cli.md"
NOTE = "The ferry to the island leaves at half past six. Dogs travel free of charge."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's folder, with a note and a file of questions."""
    (tmp_path / "note.md").write_text(NOTE)
    questions = re.findall(r'^    (\{"question".+\})$', GUIDE.read_text(), re.MULTILINE)
    (tmp_path / "questions.jsonl").write_text("\n".join(questions))
    return tmp_path


async def shell(mesh: Mesh, home: Path, line: str) -> tuple[int, str, str]:
    """What a line of the shell returns and prints, for a person whose mesh is this one."""
    process = await asyncio.create_subprocess_shell(
        line,
        cwd=home,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "RAGMESH_DATA_DIR": str(mesh.data_dir),
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def test_the_examples_of_the_guide_run(mesh: Mesh, home: Path):
    (block,) = re.findall(r"```console\n(.+?)```", GUIDE.read_text(), re.DOTALL)

    for line in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
        code, out, errors = await shell(mesh, home, line)
        assert code == 0, f"{line}\n{out}{errors}"
        if "--json" in line:
            json.loads(out)


async def test_questions_whose_sources_are_known_are_measured(mesh: Mesh, home: Path, collection: str):
    await mesh.add("note.md", NOTE.encode(), collection)

    code, out, _ = await shell(mesh, home, f"ragmesh eval questions.jsonl -c {collection} --json")
    _, table, _ = await shell(mesh, home, f"ragmesh eval questions.jsonl -c {collection} --no-answers")

    measured = json.loads(out)["summary"]
    assert code == 0
    assert (measured["recall@1"], measured["mrr@10"], measured["questions"]) == (1.0, 1.0, 2)
    assert measured["answered"] == 2
    assert 0 <= measured["groundedness"] <= 1
    assert "recall@1" in table


async def test_a_conversation_is_piped_in_line_by_line(mesh: Mesh, home: Path, collection: str):
    await mesh.add("note.md", NOTE.encode(), collection)

    lines = f"When does the ferry leave?\\n/collection {collection}\\nWhen does the ferry leave?\\n"
    code, out, errors = await shell(mesh, home, f"printf '{lines}' | ragmesh chat --json")

    first, second = map(json.loads, out.splitlines())
    assert (code, errors) == (0, "")
    assert first["question"] == second["question"]
    assert second["answer"]


async def test_each_kind_of_failure_has_a_code_of_its_own(mesh: Mesh, home: Path, collection: str):
    _, document = await mesh.add("note.md", NOTE.encode(), collection)
    missing = "01890000-0000-7000-8000-000000000000"

    code, out, errors = await shell(mesh, home, f"ragmesh rm {missing} {document['id']} --json")
    assert (code, json.loads(out)) == (3, {"deleted": [document["id"]]}), "what is there is deleted all the same"
    assert missing in json.loads(errors)["error"]["message"]

    for line, expected, says in (
        ("ragmesh ls -c nowhere", 3, "nowhere"),
        ("ragmesh set RAGMESH_NOPE 1", 2, "there is no setting RAGMESH_NOPE"),
        ("ragmesh set RAGMESH_SERCH_RESULTS 1", 2, "is RAGMESH_SEARCH_RESULTS meant?"),
        ("ragmesh set RAGMESH_SEARCH_RESULTS -1", 2, "greater than or equal to 1"),
        ("ragmesh set RAGMESH_LOG_LEVEL LOUD", 2, "can't be 'LOUD': it must be one of"),
        ("RAGMESH_MESH=nowhere ragmesh ls", 3, "no profile"),
        ("RAGMESH_DISCOVERY_URL=grpc://127.0.0.1:1 ragmesh ls", 5, ""),
    ):
        code, _, errors = await shell(mesh, home, line)
        assert code == expected, errors
        assert says in errors
        assert "Traceback" not in errors


async def test_the_settings_shown_are_the_meshs_and_not_the_commands(mesh: Mesh, home: Path):
    _, out, _ = await shell(mesh, home, "RAGMESH_LLM_SLOTS=7 ragmesh config --json")
    _, own, _ = await shell(mesh, home, "RAGMESH_LLM_SLOTS=7 ragmesh config --local --json")

    def slots(printed: str) -> str:
        return {setting["key"]: setting["value"] for setting in json.loads(printed)}["RAGMESH_LLM_SLOTS"]

    assert (slots(out), slots(own)) == ("4", "7")


async def test_a_mesh_is_reached_by_its_name(mesh: Mesh, home: Path, collection: str):
    url = of_running_mesh(Settings(data_dir=mesh.data_dir)).discovery_url
    elsewhere = "RAGMESH_DATA_DIR=/nowhere "

    assert (await shell(mesh, home, f"ragmesh profile add here --url {url}"))[0] == 0
    assert (await shell(mesh, home, f"{elsewhere} ragmesh ls -c {collection}"))[0] == 5
    assert (await shell(mesh, home, f"{elsewhere} ragmesh ls -c {collection} --mesh here"))[0] == 0
    assert (await shell(mesh, home, "ragmesh profile use here"))[0] == 0
    assert (await shell(mesh, home, f"{elsewhere} ragmesh ls -c {collection}"))[0] == 0


async def test_a_shell_completes_the_names_of_collections(mesh: Mesh, home: Path, collection: str):
    words = f"ragmesh ask --collection {collection[:12]}"

    code, out, _ = await shell(
        mesh, home, f"_RAGMESH_COMPLETE=complete_bash COMP_WORDS='{words}' COMP_CWORD=3 ragmesh"
    )

    assert (code, out.split()) == (0, [collection])
