"""Every example of docs/api.md does what the guide shows, and the README's first ones work, on a real mesh."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.guide import CLIENTS, Example, Reader, differences, examples_of

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "api.md"
README = ROOT / "README.md"
INDENTED = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)
COMMAND = re.compile(r"^\$ (curl (?:.*\\\n)*.*)", re.MULTILINE)
WORKS_WITHIN_S = 600  # the whole guide: Python and Node start for each of their examples


def environment(mesh) -> dict[str, str]:
    """What a reader has: the mesh at its address, and the project's programs."""
    return {
        "RAGMESH_URL": mesh.url,
        "RAGMESH_DATA_DIR": str(mesh.data_dir),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:{CLIENTS}/clients/bin",
        "PYTHONPATH": str(ROOT),
    }


@pytest.mark.timeout(WORKS_WITHIN_S)
async def test_every_example_of_the_api_guide_does_what_it_shows(mesh, tmp_path):
    for sample in (ROOT / "samples").iterdir():
        shutil.copy(sample, tmp_path)
    reader = Reader(tmp_path, environment(mesh))
    examples = list(examples_of(GUIDE.read_text()))

    wrong = [each for example in examples for each in await _wrong(reader, example)]

    assert {example.language for example in examples} == {"sh", "python", "js"}
    assert not wrong, "\n".join(wrong)


async def test_the_first_examples_of_the_readme_work(mesh, tmp_path):
    shutil.copy(ROOT / "samples" / "calibration-manual.pdf", tmp_path / "handbook.pdf")
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    reader = Reader(tmp_path, {**environment(mesh), "CURL_HOME": str(tmp_path)})
    edge = mesh.url.removeprefix("http://")

    printed = [await reader.run(example) for example in _of_readme(README.read_text(), edge)]

    assert len(printed) == 4, "two of curl, one of OpenAI's SDK, one of ours"
    assert all(printed)


def _of_readme(text: str, edge: str) -> Iterator[Example]:
    """What the README tells to type: curl after a prompt, and a whole Python program."""
    for found in INDENTED.finditer(text):
        block, line = (
            dedent(found[0]).strip("\n").replace("localhost:8080", edge),
            text.count("\n", 0, found.start()) + 1,
        )
        if block.startswith(("import asyncio", "from openai import")):
            yield Example(line, "python", block, None, "")
        for command in COMMAND.finditer(block):
            yield Example(line, "sh", f"{command[1]}\n", None, "")


async def _wrong(reader: Reader, example: Example) -> list[str]:
    return [f"docs/api.md:{example.line}: {each}" for each in differences(example, await reader.run(example))]
