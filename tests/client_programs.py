"""Programs of tests/clients, run with the clients that tests/clients/install.sh has installed."""

import asyncio
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "clients"
CLIENTS = ROOT / ".clients"
PYTHON = CLIENTS / "clients" / "bin" / "python"
PYTHON_LLAMAINDEX = CLIENTS / "clients-llamaindex" / "bin" / "python"
NODE = CLIENTS / "clients" / "bin" / "node"
WITHIN_S = 150


async def run(interpreter: Path, program: str, *arguments: str) -> str:
    """What a program prints; fails where it does."""
    file = _beside_its_packages(interpreter, program)
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
    assert process.returncode == 0, output.decode()
    return output.decode()


def _beside_its_packages(interpreter: Path, program: str) -> Path:
    """A copy of a program where Node, which looks beside the program, finds what it imports."""
    assert interpreter.exists(), "the clients are not installed: tests/clients/install.sh does it"
    return Path(shutil.copy(PROGRAMS / program, CLIENTS))
