"""A process whose event loop stands still serves nobody: it ends, and its supervisor starts it anew.

Before it ends it prints where every thread is, so that the fault can be found.
"""

import asyncio
import faulthandler

BEAT_S = 1.0
BLOCKED_S = 20.0  # longer than any pause of a busy machine


async def beat() -> None:
    """Beats until it is cancelled. A beat that is `BLOCKED_S` late ends the process with code 1."""
    try:
        while True:
            faulthandler.dump_traceback_later(BLOCKED_S, exit=True)
            await asyncio.sleep(BEAT_S)
    finally:
        faulthandler.cancel_dump_traceback_later()
