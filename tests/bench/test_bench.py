"""The bench measures every path of a real mesh beside the bare engines. What it finds is for people to read."""

import asyncio
import json
import sys

import pytest

from tests.mesh import running_mesh


@pytest.mark.timeout(400)
async def test_the_bench_compares_every_path_with_its_engine(tmp_path):
    results = tmp_path / "results.json"
    async with running_mesh(tmp_path / "data") as mesh:
        bench = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "bench",
                "--data-dir",
                str(mesh.data_dir),
                "--rounds",
                "1",
                "--json",
                str(results),
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await bench.communicate()

    assert bench.returncode == 0, printed.decode()
    rows = {row["name"].split(",")[0]: row for row in json.loads(results.read_text())}
    assert set(rows) == {"ingest", "search", "answer"}
    assert all(row["mesh"] > 0 and row["engine"] > 0 for row in rows.values())
