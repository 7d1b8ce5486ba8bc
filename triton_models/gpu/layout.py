"""Lays out a version of a model in a repository for GPUs, from what the build scripts have made.

    lay_out_engine(Version("llama-3.1-8b@1", ...), engine=Path("engine"), gpus=("0",), serving=Serving())

A version is the model NAME@VERSION, which clients ask, and its parts NAME@VERSION.PART, which only it asks. All of
them appear at once or not at all, and none is ever written over.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triton_models.gpu import tokenizer
from triton_models.gpu.errors import CannotLayOut
from triton_models.gpu.render import render
from triton_models.gpu.tokenizer import read_json, require

TEMPLATES = Path(__file__).parent
NAMED = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[1-9][0-9]{0,8}")  # as in ragmesh/settings.py
BACKENDS = {".plan": "tensorrt", ".onnx": "onnxruntime"}


@dataclass(frozen=True, slots=True)
class Version:
    """Which version is made, and of what."""

    model: str  # NAME@VERSION
    repository: Path
    tokenizer: Path  # a folder with tokenizer.json and what Hugging Face keeps beside it
    title: str  # what people call the weights
    languages: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a language model's answers share."""

    kv_cache_fraction: float = 0.85  # of what is free on the GPU beside the weights
    kv_cache_host_bytes: int = 0  # of main memory, for blocks that the GPU has no room for
    max_waiting: int = 32  # answers that wait for a slot


@dataclass(frozen=True, slots=True)
class Batches:
    """How an encoder forms batches."""

    max_tokens: int = 512
    max_batch: int = 32  # rows, as the plan was built for
    queue_delay_us: int = 500  # waiting for a fuller batch
    instances: int = 2
    gpu: int = 0
    pooling: str = "mean"  # of an embedder by PyTorch; the others have it in their graph


def lay_out_engine(version: Version, memory: Memory, *, engine: Path, gpus: tuple[str, ...], mount: str) -> None:
    """A front and its engine. `gpus` has one for each rank; `mount` is where Triton sees the repository."""
    config = read_json(engine / "config.json")
    ranks = config["pretrained_config"]["mapping"]["world_size"]
    if len(gpus) != ranks:
        raise CannotLayOut(f"the engine is built for {ranks} GPUs, and is given {len(gpus)}: {','.join(gpus)}")
    slots, context_length = config["build_config"]["max_batch_size"], config["build_config"]["max_seq_len"]
    with _new_folders(version) as folders:
        _add_front(folders, version, memory, code="llm", slots=slots, context_length=context_length)
        part = folders.add(
            ".engine",
            "llm_engine",
            {
                "slots": slots,
                "engine": f"{mount}/{version.model}.engine/1/engine",
                "gpus": ",".join(gpus),
                "kv_cache_fraction": memory.kv_cache_fraction,
                "kv_cache_host_bytes": memory.kv_cache_host_bytes,
            },
        )
        shutil.copytree(engine, part / "engine")


def lay_out_api(
    version: Version,
    memory: Memory,
    *,
    weights: Path,
    tensor_parallel: int = 1,
    slots: int = 64,
    context_length: int = 8192,
    max_num_tokens: int = 8192,
) -> None:
    """A model that runs TensorRT-LLM itself, on a checkpoint in Hugging Face's layout."""
    require(weights / "config.json")
    arguments = {
        "tensor_parallel": tensor_parallel,
        "slots": slots,
        "max_num_tokens": max_num_tokens,
        "context_length": context_length,
        "kv_cache_fraction": memory.kv_cache_fraction,
        "kv_cache_host_bytes": memory.kv_cache_host_bytes,
    }
    with _new_folders(version) as folders:
        folder = _add_front(folders, version, memory, code="llm_api", slots=slots, context_length=context_length)
        template = (TEMPLATES / "llm_api" / "1" / "arguments.yaml").read_text(encoding="utf-8")
        (folder / "arguments.yaml").write_text(render(template, arguments), encoding="utf-8")
        shutil.copytree(weights, folder / "weights")


def lay_out_embedder(
    version: Version,
    batches: Batches,
    *,
    encoder: Path,
    dims: int,
    query_prefix: str = "",
    passage_prefix: str = "",
) -> None:
    """An ensemble that gives each text a vector of `dims`."""
    known = {"dims": dims, "query_prefix": query_prefix, "passage_prefix": passage_prefix}
    _lay_out_encoder(version, batches, "embed", encoder, known=known, outputs={"dims": dims})


def lay_out_reranker(version: Version, batches: Batches, *, encoder: Path) -> None:
    """An ensemble that gives each pair of question and text a score."""
    _lay_out_encoder(version, batches, "rerank", encoder, known={}, outputs={})


def _lay_out_encoder(
    version: Version,
    batches: Batches,
    role: str,
    encoder: Path,
    *,
    known: Mapping[str, object],
    outputs: Mapping[str, object],
) -> None:
    backend = "python" if encoder.is_dir() else BACKENDS.get(encoder.suffix)
    if backend is None:
        raise CannotLayOut(f"{encoder} is neither a .plan of TensorRT nor an .onnx, nor a folder for PyTorch")
    tokens = require(version.tokenizer / "tokenizer.json")
    served = {
        "max_batch": batches.max_batch,
        "weights": version.title,
        "short_name": version.model.partition("@")[0],
        "languages": " ".join(version.languages),
        "max_tokens": batches.max_tokens,
    }
    with _new_folders(version) as folders:
        # Whoever cuts texts to the model's measure finds the tokenizer here, as on the CPU.
        shutil.copyfile(tokens, folders.add("", role, {**served, **known}) / "tokenizer.json")
        part = folders.add(
            ".tokens",
            f"{role}_tokens",
            {
                "max_batch": batches.max_batch,
                "max_tokens": batches.max_tokens,
                "pad_id": tokenizer.pad_id(version.tokenizer),
            },
        )
        shutil.copyfile(tokens, part / "tokenizer.json")
        shutil.copyfile(TEMPLATES / "tokens" / "1" / "model.py", part / "model.py")
        part = folders.add(
            ".encoder",
            f"{role}_encoder",
            {
                "backend": backend,
                "max_batch": batches.max_batch,
                "queue_delay_us": batches.queue_delay_us,
                "instances": batches.instances,
                "gpu": batches.gpu,
                "pooling": batches.pooling,
                **outputs,
            },
        )
        _add_encoder(part, require(encoder))


def _add_encoder(part: Path, encoder: Path) -> None:
    if encoder.is_file():
        shutil.copyfile(encoder, part / f"model{encoder.suffix}")
        return
    shutil.copytree(encoder, part / "weights")
    for name in ("model.py", "encoder.py"):
        shutil.copyfile(TEMPLATES / "encoder_pytorch" / "1" / name, part / name)


class _Folders:
    """The models of a version, in the making."""

    def __init__(self, scratch: Path, model: str) -> None:
        self.scratch = scratch
        self.model = model

    def add(self, part: str, template: str, values: Mapping[str, object]) -> Path:
        """Writes a model's configuration, and returns the folder for its files."""
        folder = self.scratch / f"{self.model}{part}" / "1"
        folder.mkdir(parents=True)
        source = (TEMPLATES / template / "config.pbtxt").read_text(encoding="utf-8")
        config = render(source, {"model": self.model, **values, **(_made_for() if not part else {})})
        folder.with_name("config.pbtxt").write_text(config, encoding="utf-8")
        return folder


def _made_for() -> dict[str, str]:
    """The Triton that a version was made for: ragmesh refuses to load it in another one."""
    versions = (TEMPLATES / "versions.env").read_text(encoding="utf-8")
    (minor,) = re.findall(r"^TRITON_VERSION=(\d+\.\d+)", versions, re.MULTILINE)
    return {"made_for": json.dumps({"triton": f"=={minor}.*"})}


@contextmanager
def _new_folders(version: Version) -> Iterator[_Folders]:
    """Folders that come into the repository together at the end, the one that clients ask last."""
    if NAMED.fullmatch(version.model) is None:
        raise CannotLayOut(f"{version.model!r} is not NAME@VERSION, as in llama-3.1-8b@1")
    repository = version.repository
    there = [repository / version.model, *repository.glob(f"{version.model}.*")]
    if names := sorted(folder.name for folder in there if folder.exists()):
        raise CannotLayOut(f"{', '.join(names)} is there already: give the new version a number of its own")
    repository.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".laying-out-", dir=repository) as scratch:
        yield _Folders(Path(scratch), version.model)
        for folder in sorted(Path(scratch).iterdir(), reverse=True):
            folder.rename(repository / folder.name)


def _add_front(
    folders: _Folders, version: Version, memory: Memory, *, code: str, slots: int, context_length: int
) -> Path:
    """The model that clients ask, with all that they must know of the weights."""
    folder = folders.add(
        "",
        "llm",
        {
            "weights": version.title,
            "languages": " ".join(version.languages),
            "chat_template": tokenizer.chat_template(version.tokenizer),
            "context_length": context_length,
            "bytes_per_token": tokenizer.bytes_per_token(version.tokenizer, version.languages),
            "end_ids": " ".join(map(str, tokenizer.end_ids(version.tokenizer))),
            "slots": slots,
            "max_waiting": memory.max_waiting,
        },
    )
    shutil.copyfile(require(version.tokenizer / "tokenizer.json"), folder / "tokenizer.json")
    shutil.copyfile(TEMPLATES / "llm" / "1" / "answer.py", folder / "answer.py")
    shutil.copyfile(TEMPLATES / code / "1" / "model.py", folder / "model.py")
    return folder
