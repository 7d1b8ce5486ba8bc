"""What a process prints, in a file of bounded size."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 10 * 1024 * 1024
TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class LogFile:
    """A process writes here itself: it never waits for a reader, and loses no last words when it is killed."""

    path: Path
    max_bytes: int = MAX_BYTES

    def open(self) -> BinaryIO:
        """For appending, by a process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.open("ab")

    def rotate_when_large(self) -> None:
        """Moves what is written to a second file. The process keeps its file and goes on at its new end."""
        if self.path.stat().st_size < self.max_bytes:
            return
        shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        os.truncate(self.path, 0)

    def last_line(self) -> str:
        """The last line with something on it; empty where there is none."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
