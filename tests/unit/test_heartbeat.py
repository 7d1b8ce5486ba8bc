"""A process that stands still ends, and says where it stood."""

import subprocess
import sys

BLOCKED = """
import asyncio, time
from ragmesh.rpc import heartbeat
heartbeat.BLOCKED_S, heartbeat.BEAT_S = 0.5, 0.05

async def stand_still():
    time.sleep(30)

async def main():
    beating = asyncio.create_task(heartbeat.beat())
    await asyncio.sleep(0.7)
    await stand_still()

asyncio.run(main())
"""


def test_a_blocked_event_loop_ends_the_process_with_a_traceback():
    ended = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 1
    assert "stand_still" in ended.stderr
