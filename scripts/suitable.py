"""Says whether the Python that runs this can run ragmesh, and if not, what to do. Any Python since 3.6 runs it."""

import ctypes.util
import platform
import sys
import sysconfig
from pathlib import Path

VERSION = "{}.{}".format(*sys.version_info)
GLIBC_MIN = (2, 35)


def problem() -> "str | None":
    """What is missing, in a line; None when nothing is."""
    if VERSION not in {"3.11", "3.12"}:
        return f"this is Python {VERSION}; 3.11 or 3.12 is needed (Triton's Python backend ends there)"
    glibc = platform.libc_ver()[1]
    if not glibc or tuple(map(int, glibc.split(".")[:2])) < GLIBC_MIN:
        return f"the C library is {glibc or 'not glibc'}; glibc 2.35 is needed: Debian 12, Ubuntu 22.04 or newer"
    if not has_library():
        return f"libpython{VERSION}.so is missing: apt install libpython{VERSION}, or a Python with --enable-shared"
    return None


def has_library() -> bool:
    """Whether this interpreter's shared library is there: Triton loads it."""
    folders = (sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib")
    beside = any(Path(folder, f"libpython{VERSION}.so.1.0").exists() for folder in folders)
    return beside or ctypes.util.find_library(f"python{VERSION}") is not None


if __name__ == "__main__":
    sys.exit(problem())
