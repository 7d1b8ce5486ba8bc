"""The edge under attack, for a short time: it stays ready, forgets its attackers, and answers everybody else.

How long others wait meanwhile is for people to read off `python -m bench.fuzz`, not for a test on a busy machine.
"""

import asyncio
import json
import os
import sys

import pytest

from tests.triton_server import CACHE

MEMORY_RATIO = 1.1


@pytest.mark.timeout(300)
async def test_attacks_leave_the_edge_ready_its_memory_flat_and_its_users_served(tmp_path):
    figures = tmp_path / "figures.json"
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.fuzz", "--minutes", "0.1", "--connections", "500"),
        *("--json", str(figures)),
        env={**os.environ, "RAGMESH_MODELS_DIR": str(CACHE / "repository")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await bench.communicate())[0].decode()

    assert bench.returncode == 0, printed
    first, *seen = json.loads(figures.read_text())
    assert first["said"] == {"HTTP/1.1 200": 500}
    assert {each["kind"]: each["failed"] for each in seen if each["failed"]} == {}
    assert sum(each["not_ready"] for each in seen) == 0
    assert {each["kind"]: each["memory_ratio"] for each in seen if each["memory_ratio"] > MEMORY_RATIO} == {}
