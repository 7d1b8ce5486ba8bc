"""Builds models into Triton's repository, each once, from what the manifest names.

    repository/e5-small@1/config.pbtxt, 1/model.py, 1/model.onnx, 1/tokenizer.json, 1/LICENSE.txt
    repository/smollm2-135m@1/config.pbtxt, 1/model.py, 1/model.gguf, 1/LICENSE.txt

What clients must know of the weights (dims, prefixes, chat template, …) stands in each config.pbtxt as parameters:
Triton hands them out with the model's configuration, so that no client needs the files.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig  # pyright: ignore[reportAttributeAccessIssue] generated, no stubs

from ragmesh.inference import formats, manifest, sources, weights
from ragmesh.inference.formats import WRITERS, Files, Parameters, has_vnni
from ragmesh.inference.manifest import TEMPLATES, BadManifest, Entry, misfit
from ragmesh.inference.port import ModelId
from ragmesh.inference.roles import models
from ragmesh.settings import Settings

STAMP = "built-from.json"
WRITTEN_BY = (Path(formats.__file__), *Path(weights.__file__).parent.glob("*.py"))
LLM_WAITING = 8  # answers that wait for a slot

Progress = Callable[[str, float], None]


def build(settings: Settings, progress: Progress, wanted: Iterable[ModelId] = ()) -> Path:
    """Makes those models that are not there yet, and returns the repository's path.

    Without `wanted` they are those in use, and all of one's own manifest. `progress` is told each step and the
    share that is done. A model appears whole or not at all. Raises BadManifest, MissingWeights, UnreadableWeights.
    """
    repository = settings.models
    entries = manifest.read(settings)
    with _scratch_beside(repository) as scratch:
        repository.mkdir(exist_ok=True)
        missing = [
            model
            for model in [*wanted] or defaults(settings, entries)
            if not _is_current(repository, model, settings, entries)
        ]
        for number, model in enumerate(missing):
            progress(f"{model}: {entries[model].title}", number / len(missing))
            _build(model, entries[model], settings, scratch)
            _put(scratch / str(model), repository / str(model), scratch / "old")
    progress("models are ready", 1.0)
    return repository


def is_built(settings: Settings) -> bool:
    """Whether `build` would have nothing to do."""
    entries = manifest.read(settings)
    return all(_is_current(settings.models, model, settings, entries) for model in defaults(settings, entries))


def defaults(settings: Settings, entries: Mapping[ModelId, Entry]) -> list[ModelId]:
    """What a build without a wish makes. What is in use but in no manifest was put into the repository by hand."""
    used = [
        model
        for model in map(ModelId.parse, models(settings))
        if model in entries or not _is_there(settings.models, model)
    ]
    own = [model for model in entries if settings.models_manifest and model not in manifest.ours()]
    return [*dict.fromkeys([*used, *own])]


def _is_there(repository: Path, model: ModelId) -> bool:
    return (repository / str(model) / "config.pbtxt").exists()


def _is_current(repository: Path, model: ModelId, settings: Settings, entries: Mapping[ModelId, Entry]) -> bool:
    if model not in entries:
        near = get_close_matches(str(model), map(str, entries), 1)
        meant = f"is {near[0]} meant? " if near else ""
        raise BadManifest(
            f"no manifest has a model {model}: {meant}They have {', '.join(sorted(map(str, entries)))}"
        )
    return _read_stamp(repository / str(model)) == _stamp(entries[model], settings)


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


def _put(made: Path, target: Path, old: Path) -> None:
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _build(model: ModelId, entry: Entry, settings: Settings, scratch: Path) -> None:
    if reason := misfit(entry.made_for):
        raise BadManifest(f"{model} can't be used here: {reason}")
    target = scratch / str(model)
    folder = target / "1"
    folder.mkdir(parents=True)
    shutil.copyfile(TEMPLATES / "cpu" / entry.role / "1" / "model.py", folder / "model.py")
    shutil.copyfile(TEMPLATES / "licenses" / entry.license, folder / "LICENSE.txt")
    source = sources.locate(entry.weights)
    tokenizer = sources.locate(entry.tokenizer) if entry.tokenizer else None
    told = WRITERS[entry.format](Files(source, tokenizer, folder, scratch))
    _write_config(target, model, entry, {**told, **_parameters(entry, settings)})
    (target / STAMP).write_text(json.dumps(_stamp(entry, settings)), encoding="utf-8")


def _parameters(entry: Entry, settings: Settings) -> Parameters:
    """What every client and the model's own code must know."""
    common: dict[str, str] = {
        "role": entry.role,
        "weights": entry.title,
        "languages": " ".join(entry.languages),
        "made_for": json.dumps(dict(entry.made_for)),
    }
    if entry.role == "llm":
        return {**common, **_llm_parameters(entry, settings)}
    return common | {
        "dims": str(entry.dims),
        "max_tokens": str(entry.max_tokens),
        "query_prefix": entry.query_prefix,
        "passage_prefix": entry.passage_prefix,
        "pooling": entry.pooling,
        "output": entry.output,
        "threads": str(settings.embed_threads),
    }


def _llm_parameters(entry: Entry, settings: Settings) -> Parameters:
    own = {"chat_template": entry.chat_template, "prompt_tokens": str(entry.prompt_tokens or "")}
    return {
        **{name: value for name, value in own.items() if value},
        "context_length": str(entry.context_length or settings.llm_context),
        "bytes_per_token": str(entry.bytes_per_token),
        "slots": str(settings.llm_slots),
        "max_waiting": str(LLM_WAITING),
        "threads": str(settings.llm_threads),
    }


def _write_config(target: Path, model: ModelId, entry: Entry, parameters: Parameters) -> None:
    template = (TEMPLATES / "cpu" / entry.role / "config.pbtxt").read_text(encoding="utf-8")
    config: Any = text_format.Parse(template, ModelConfig())
    config.name = str(model)
    for output in config.output:
        if output.name in {"embedding", "token_vectors"}:
            output.dims[-1] = entry.dims
    for name, value in parameters.items():
        config.parameters[name].string_value = value
    (target / "config.pbtxt").write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def _stamp(entry: Entry, settings: Settings) -> dict[str, str]:
    """What a model is made of: another stamp means another model."""
    code = hashlib.sha256()
    template = TEMPLATES / "cpu" / entry.role
    for file in sorted([*template.glob("config.pbtxt"), *template.glob("1/*.py"), *WRITTEN_BY]):
        code.update(file.read_bytes())
    return {
        "entry": entry.model_dump_json(),
        "code": code.hexdigest(),
        "told": json.dumps(dict(_parameters(entry, settings)), sort_keys=True),
        "vnni": str(has_vnni()),
    }


def _read_stamp(model: Path) -> dict[str, str] | None:
    try:
        return json.loads((model / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
