"""How weights become what Triton serves: a writer for each format that a manifest may name.

A writer fills the folder of a version, and returns what the weights themselves tell clients.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from gguf import GGUFReader

from ragmesh.inference import vocabulary
from ragmesh.inference.manifest import Format
from ragmesh.inference.weights import e5, encoder, gguf_vocabulary, minilm

log = structlog.get_logger()

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Files:
    """What a version is made from, and where."""

    weights: Path
    tokenizer: Path | None
    folder: Path  # of the version, to be filled
    scratch: Path


def _write_e5(files: Files) -> Parameters:
    e5.require_same_vocabulary(files.weights, _tokenizer(files))
    encoder.write_encoder(e5.read_weights(files.weights), files.scratch / "float.onnx")
    _quantize(files, words=False)
    return {"token_vectors": "true"}


def _write_bert(files: Files) -> Parameters:
    encoder.write_encoder(minilm.read_weights(files.weights.parent), files.scratch / "float.onnx")
    _quantize(files, words=True)
    return {"token_vectors": "true"}


def _write_onnx(files: Files) -> Parameters:
    """As it is, with the files beside it that hold its larger tensors."""
    _place(files.weights, files.folder / "model.onnx")
    for data in files.weights.parent.glob(f"{files.weights.name}[_.]data"):
        _place(data, files.folder / data.name)
    _copy_tokenizer(files)
    return {}


def _write_gguf(files: Files) -> Parameters:
    _place(files.weights, files.folder / "model.gguf")
    field = GGUFReader(files.weights).fields.get("tokenizer.chat_template")
    template = {"chat_template": str(field.contents())} if field else {}
    return {**template, **_vocabulary(files)}


def _vocabulary(files: Files) -> Parameters:
    """The tokens that prompts are counted in; clients estimate where none can be trusted."""
    try:
        given = files.tokenizer.read_text(encoding="utf-8") if files.tokenizer else None
        return {vocabulary.PARAMETER: vocabulary.packed(given or gguf_vocabulary.tokenizer_json(files.weights))}
    except gguf_vocabulary.Untrusted as reason:
        log.warning("tokenizer.estimated", reason=str(reason), cure="name its tokenizer.json in the manifest")
        return {}


WRITERS: Mapping[Format, Callable[[Files], Parameters]] = {
    "e5-4bit": _write_e5,
    "bert": _write_bert,
    "onnx": _write_onnx,
    "gguf": _write_gguf,
}


def has_vnni() -> bool:
    """Whether this processor multiplies eight-bit numbers without overflow."""
    return "_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _quantize(files: Files, *, words: bool) -> None:
    encoder.write_quantized(
        files.scratch / "float.onnx", files.folder / "model.onnx", words=words, reduce_range=not has_vnni()
    )
    _copy_tokenizer(files)


def _copy_tokenizer(files: Files) -> None:
    shutil.copyfile(_tokenizer(files), files.folder / "tokenizer.json")


def _tokenizer(files: Files) -> Path:
    assert files.tokenizer  # noqa: S101 the manifest asks for one
    return files.tokenizer


def _place(source: Path, target: Path) -> None:
    """A link where the file system allows for one: weights are large."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
