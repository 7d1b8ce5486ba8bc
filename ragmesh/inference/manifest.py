"""What models there are: triton_models/manifest.yaml, and a manifest of one's own beside it.

    entries = read(settings)
    entries[ModelId("e5-small", "1")].dims        # 384

An entry says what a version is, what it is made from, and what it was made for.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from ragmesh.inference.port import ModelId
from ragmesh.settings import MODEL, Settings, explain

TEMPLATES = Path(str(files("triton_models")))
OURS = TEMPLATES / "manifest.yaml"

Format = Literal["e5-4bit", "bert", "onnx", "gguf"]
ROLE_OF: Mapping[str, str] = {"e5-4bit": "embed", "bert": "embed", "gguf": "llm"}  # onnx may be any


class BadManifest(ValueError):
    """A manifest that can't be used; the message says where and why."""


class Source(BaseModel):
    """One file, and where it is found: in an installed package, in a folder, or on the Hugging Face hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)  # inside of the package's module, the folder or the hub's repository
    sha256: str | None = Field(None, pattern="[0-9a-f]{64}")
    package: str | None = None
    version: str | None = None  # of the package
    module: str | None = None  # which the package brings
    folder: Path | None = None
    hub: str | None = None  # "owner/name"
    revision: str = "main"  # of the hub's repository: a commit, if it is to stay the same

    @model_validator(mode="after")
    def _is_at_one_place(self) -> Self:
        if sum(place is not None for place in (self.module, self.folder, self.hub)) != 1:
            raise ValueError("name one of module (with package), folder and hub")
        if self.module and not self.package:
            raise ValueError("module needs package, which is what to install")
        return self


class Entry(BaseModel):
    """A version of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["embed", "rerank", "llm"]
    format: Format  # how its weights become what Triton serves
    title: str = Field(min_length=1)  # of the weights, for people
    license: str  # a file of triton_models/licenses, or a path
    weights: Source
    tokenizer: Source | None = None  # of an LLM: where the one in its weights is of a kind that is not known here
    languages: tuple[str, ...] = Field(min_length=1)  # ISO 639-1
    dims: int = Field(0, ge=0)  # of its vectors
    max_tokens: int = Field(0, ge=0)  # what is longer is cut
    context_length: int = Field(0, ge=0)  # tokens of prompt and answer; 0 for what RAGMESH_LLM_CONTEXT says
    prompt_tokens: int = Field(0, ge=0)  # that its prompts should have at most; 0 for a share of the context
    query_prefix: str = ""
    passage_prefix: str = ""
    pooling: Literal["none", "mean", "first"] = "none"  # that an ONNX encoder still needs
    output: str = "embedding"  # of an ONNX model
    chat_template: str = ""  # Jinja; empty for the one in the weights
    bytes_per_token: float = Field(2.0, gt=0)  # of UTF-8, a low estimate
    made_for: Mapping[str, str] = Field(default_factory=dict[str, str])  # "triton" and packages, to versions

    @field_validator("made_for")
    @classmethod
    def _are_versions(cls, made_for: Mapping[str, str]) -> Mapping[str, str]:
        for name, wanted in made_for.items():
            try:
                SpecifierSet(wanted)
            except InvalidSpecifier:
                raise ValueError(f'{name} is {wanted!r}; it must be like ">=2.51,<3"') from None
        return made_for

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if ROLE_OF.get(self.format, self.role) != self.role:
            raise ValueError(f"weights in the format {self.format} are for {ROLE_OF[self.format]}, not {self.role}")
        missing = [
            name for name in ("dims", "max_tokens", "tokenizer") if self.role == "embed" and not getattr(self, name)
        ]
        if missing:
            raise ValueError(f"an embedding model needs {', '.join(missing)}")
        return self


_ENTRIES = TypeAdapter(Mapping[str, Entry])


def read(settings: Settings) -> Mapping[ModelId, Entry]:
    """All entries; those of one's own manifest come in the place of ours. Raises BadManifest."""
    found = dict(ours())
    if settings.models_manifest:
        found |= _read(settings.models_manifest.expanduser())
    return found


def ours() -> Mapping[ModelId, Entry]:
    """Those that come with ragmesh."""
    return dict(_read(OURS))


def _read(file: Path) -> Iterator[tuple[ModelId, Entry]]:
    try:
        entries = _ENTRIES.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadManifest(f"the manifest {file} can't be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise BadManifest(f"{file} is no YAML: {error}") from None
    except ValidationError as error:
        raise BadManifest(f"{file} has what a manifest can't have:\n{explain(error, prefix='')}") from None
    for named, entry in entries.items():
        if not MODEL.fullmatch(named):
            raise BadManifest(f"{file} names a model {named!r}; it must be NAME@VERSION, for example e5-small@1")
        yield ModelId.parse(named), _beside(entry, file.parent)


def _beside(entry: Entry, folder: Path) -> Entry:
    """The entry, its relative paths taken from where the manifest is."""
    placed: dict[str, object] = {
        name: source.model_copy(update={"folder": folder / source.folder})
        for name, source in (("weights", entry.weights), ("tokenizer", entry.tokenizer))
        if source and source.folder
    }
    if (folder / entry.license).is_file():
        placed["license"] = str((folder / entry.license).absolute())
    return entry.model_copy(update=placed)


def misfit(made_for: Mapping[str, str], triton: str | None = None) -> str | None:
    """Why what was made for these versions can't be used here: by the packages installed, and `triton` if given."""
    for name, wanted in made_for.items():
        present = triton if name == "triton" else _installed(name)
        if present is not None and not SpecifierSet(wanted, prereleases=True).contains(present):
            return f"it was made for {name} {wanted}, and this is {present}"
    return None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
