"""Clients of OpenAI's API, as they are published, work with the edge: each is a program of tests/clients."""

import asyncio
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "clients"
CLIENTS = ROOT / ".clients"
PYTHON = CLIENTS / "clients" / "bin" / "python"
FERRY = "# Ferry\n\nThe ferry leaves at half past six in the morning. On Sundays it leaves at eight.\n"
WITHIN_S = 150


@pytest.mark.parametrize(
    ("interpreter", "program"),
    [
        (PYTHON, "openai_python.py"),
        (PYTHON, "langchain_client.py"),
        (CLIENTS / "clients-llamaindex" / "bin" / "python", "llamaindex_client.py"),
        (CLIENTS / "clients" / "bin" / "node", "openai_node.mjs"),
    ],
)
async def test_a_published_client_works_as_it_is(mesh, collection, interpreter, program):
    assert interpreter.exists(), "the clients are not installed: tests/clients/install.sh does it"
    status, document = await mesh.add("ferry.md", FERRY.encode(), collection)
    assert status == 201, document

    code, output = await run(interpreter, program, mesh.url, collection)

    assert code == 0, output
    assert "ok" in output


async def run(interpreter: Path, program: str, *arguments: str) -> tuple[int | None, str]:
    """Runs a client program; Node finds its packages from where the program lies, so it is copied beside them."""
    file = CLIENTS / program
    file.write_bytes((PROGRAMS / program).read_bytes())
    process = await asyncio.create_subprocess_exec(
        *(str(interpreter), str(file), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()
