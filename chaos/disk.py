"""A disk that can be full: a small file system in memory, where the machine lets one be mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "64m"  # some thousand small originals


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mounts it while the block lasts; None where that is not allowed, as it is to root alone."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603 our own words
        yield None
        return
    try:
        (folder / "blobs").mkdir()
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 likewise
