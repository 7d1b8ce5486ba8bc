"""Questions and documents at once: questions come first, documents come too, and everybody's health is known.

The figures of `python -m bench.overload` are for people to read; what is asserted leaves room for a busy machine.
"""

import asyncio
import json
import os
import sys

import pytest

from tests.triton_server import CACHE

HEALTH_P99_MS = 250.0


@pytest.mark.timeout(300)
async def test_ingest_yields_to_questions_and_health_checks_are_answered_meanwhile(tmp_path):
    figures = tmp_path / "figures.json"
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.overload", "--rounds", "1", "--json", str(figures)),
        env={**os.environ, "RAGMESH_MODELS_DIR": str(CACHE / "repository")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await bench.communicate()

    assert bench.returncode == 0, printed.decode()
    found = json.loads(figures.read_text())
    assert found["search_rate_ratio"] > 0.5
    assert 0 < found["ingest_ratio"] < 0.7
    assert {name: p99 for name, p99 in found["health_p99_ms"].items() if p99 > HEALTH_P99_MS} == {}
