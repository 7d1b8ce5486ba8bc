"""Milvus Lite's server, as the embedded mesh and the tests start it."""

import sys
from pathlib import Path

# Milvus Lite indexes rows anew for every search until it has written them to disk, which it does at 128 MiB unless
# told otherwise. A hybrid search of 960 fresh rows takes 128 ms with that, and 13 ms with this.
ENVIRONMENT = {"MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES": str(256 * 1024)}


def command(folder: Path, port: int, host: str = "127.0.0.1") -> list[str]:
    """Serves the data in this folder, to be run with ENVIRONMENT. Only one process may have it open."""
    program = str(Path(sys.executable).with_name("milvus-lite"))
    place = ["--data-dir", str(folder), "--host", host, "--port", str(port)]
    # One thread: its writes take no lock, and two at once begin the same log anew, so that a restart loses rows
    # that were acknowledged (20 to 120 of 1,200 in 60 writes at once). One thread is no slower at that.
    return [program, "server", *place, "--max-workers", "1"]
