"""What must be right before Triton is started: each of these faults is silent, or random, when it runs."""

import ctypes.util
import importlib.util
import os
import platform
import re
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig  # pyright: ignore[reportAttributeAccessIssue] generated, no stubs

GLIBC_MIN = (2, 35)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLAIN = re.compile(r"[\w@%+=:,./-]+")  # what no shell touches
LIBPYTHON = f"libpython{PYTHON}.so.1.0"


class CannotStart(RuntimeError):
    """Triton can't run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The Triton that the nvidia-pytriton wheel brings."""

    root: Path
    stub: Path  # of the Python backend, for this Python
    libpython: Path | None  # folder of the interpreter's shared library; None where the system finds it


def installation() -> Installation:
    """Finds the server and everything that it needs. Raises CannotStart."""
    require_platform()
    require_numpy(version("numpy"))
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("Triton is not installed: pip install 'ragmesh[local]'")
    root = Path(spec.submodule_search_locations[0], "tritonserver")
    stub = root / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    if not stub.exists():
        raise CannotStart(f"this Triton has no Python backend for Python {PYTHON}: use Python 3.11 or 3.12")
    return Installation(root, stub, libpython_folder())


def require_platform() -> None:
    """Raises CannotStart on anything but Linux on x86-64 with a recent C library."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise CannotStart(
            f"the embedded Triton runs on Linux x86-64 only, this is {platform.system()} {platform.machine()}:"
            " point RAGMESH_TRITON_URL to a Triton elsewhere"
        )
    library, glibc = platform.libc_ver()
    if library != "glibc" or tuple(map(int, glibc.split(".")[:2])) < GLIBC_MIN:
        raise CannotStart(
            f"Triton needs glibc 2.35 or newer, this machine has {glibc or 'another C library'}:"
            " use Debian 12 or Ubuntu 22.04"
        )


def require_numpy(numpy_version: str) -> None:
    """Raises CannotStart for numpy 2, with which the Python backend returns empty tensors and no error."""
    if int(numpy_version.split(".", 1)[0]) >= 2:
        raise CannotStart(f"numpy {numpy_version} makes Triton return empty tensors: pip install 'numpy<2'")


def require_plain(*folders: Path) -> None:
    """Raises CannotStart for a path that a shell takes apart: Triton starts each model's process by one."""
    for folder in folders:
        if PLAIN.fullmatch(str(folder)) is None:
            raise CannotStart(
                f"Triton can't start models below {str(folder)!r}, for its blanks or special characters:"
                " choose another --data-dir, or RAGMESH_MODELS_DIR"
            )


def libpython_folder() -> Path | None:
    """Where this interpreter's own shared library is. Raises CannotStart where there is none at all.

    It must be the interpreter's own: a system library of another patch version would be loaded without a word.
    """
    candidates = (sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib"))  # noqa: PTH118
    for folder in filter(None, candidates):
        if Path(folder, LIBPYTHON).exists():
            return Path(folder)
    if ctypes.util.find_library(f"python{PYTHON}"):
        return None
    raise CannotStart(
        f"{LIBPYTHON} is missing: apt install libpython{PYTHON}, or use a Python built with --enable-shared"
    )


def check_repository(repository: Path) -> None:
    """Raises CannotStart where a model's configuration has what this Triton can't do right."""
    configs = sorted(repository.glob("*/config.pbtxt"))
    if not configs:
        raise CannotStart(f"{repository} has no models: build them with `ragmesh models build`")
    for file in configs:
        check_config(file)


def check_config(file: Path) -> None:
    """Raises CannotStart for an unreadable configuration, a queue policy or the response cache."""
    try:
        config = text_format.Parse(file.read_text(encoding="utf-8"), ModelConfig())
    except text_format.ParseError as error:
        raise CannotStart(f"{file} is not a model configuration: {error}") from None
    if config.dynamic_batching.HasField("default_queue_policy") or config.dynamic_batching.priority_queue_policy:
        raise CannotStart(f"{file} sets a queue policy, which stalls requests at random: remove it")
    if config.response_cache.enable:
        raise CannotStart(f"{file} enables the response cache, which serves failures as successes: remove it")
