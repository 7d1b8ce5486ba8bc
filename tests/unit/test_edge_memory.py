"""What a crowd of connections took is given back to the system when they have left."""

import asyncio
import os
import subprocess
import sys

from gateway import memory
from gateway.memory import CROWD, Ebb
from ragmesh.up.plan import OWN

MIB = 1024 * 1024
HOLDS_AND_FREES = """
import psutil
from gateway.memory import trim
held = [bytes(400) for _ in range(300_000)]
kept = held[::1000]
full = psutil.Process().memory_info().rss
del held
trim()
print(full - psutil.Process().memory_info().rss)
"""


async def test_the_memory_is_trimmed_once_when_a_crowd_has_left_and_not_before(monkeypatch):
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()
    times = []
    monkeypatch.setattr(memory, "AFTER_S", 0.0)
    monkeypatch.setattr(memory, "trim", lambda: (times.append(loop.time()), loop.call_soon_threadsafe(trimmed.set)))
    ebb = Ebb()

    for _ in range(CROWD - 1):
        ebb.left()
    await asyncio.sleep(0)
    assert not times

    for _ in range(3):
        ebb.left()
    await asyncio.wait_for(trimmed.wait(), 5)

    assert len(times) == 1


def test_an_edge_that_was_started_as_ours_gives_pages_back_between_what_is_kept():
    run = subprocess.run(
        [sys.executable, "-c", HOLDS_AND_FREES],
        env={**os.environ, **OWN["gateway"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(run.stdout) > 100 * MIB
