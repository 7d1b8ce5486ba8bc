"""Says whether the Python that runs this can run ragmesh, and if not, what to do. Needs nothing but Python."""

import ctypes.util
import os
import platform
import sys
import sysconfig


def problem():
    version = "%d.%d" % sys.version_info[:2]
    if version not in ("3.11", "3.12"):
        return "Python %s at %s; 3.11 or 3.12 is needed (Triton's Python backend ends there)" % (version, sys.executable)
    glibc = platform.libc_ver()[1]
    if tuple(int(part) for part in glibc.split(".")[:2]) < (2, 35):
        return "glibc %s; 2.35 or newer is needed: Debian 12, Ubuntu 22.04 or newer" % glibc
    library = "libpython%s.so.1.0" % version
    folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
    if not any(folder and os.path.exists(os.path.join(folder, library)) for folder in folders):
        if not ctypes.util.find_library("python" + version):
            return "%s is missing: apt install libpython%s, or a Python built with --enable-shared" % (library, version)
    return None


if __name__ == "__main__":
    sys.exit(problem())
