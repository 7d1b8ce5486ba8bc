"""The repository for GPUs, as far as it can be known without one: laid out, parsed, held against what is sent."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup  # pyright: ignore[reportAttributeAccessIssue]

from ragmesh import settings
from ragmesh.inference import embed, generate, preflight
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel, chat_template
from ragmesh.inference.manifest import misfit
from ragmesh.inference.port import Message, Role, Sampling
from tests.gpu_repository import API, CHAT_TEMPLATE, CONTEXT, DIMS, EMBEDDER, ENGINE, RERANKER, SLOTS, lay_out
from triton_models.gpu import layout
from triton_models.gpu.render import UnfitValues, render

ROOT = Path(__file__).parents[2]
CPU, GPU = ROOT / "triton_models" / "cpu", ROOT / "triton_models" / "gpu"
PARTS = {ENGINE: ["engine"], API: [], EMBEDDER: ["tokens", "encoder"], RERANKER: ["tokens", "encoder"]}
WORDS = ("token_vectors", "token_sentences")  # which clients ask of a model that says it gives them
MODELS = [f"{model}{part}" for model, parts in PARTS.items() for part in ("", *(f".{part}" for part in parts))]
CLIENTS_READ = {
    "llm": {"role", "weights", "languages", "chat_template", "context_length", "bytes_per_token", "made_for"},
    "embed": {"role", "weights", "languages", "dims", "max_tokens", "query_prefix", "passage_prefix", "made_for"},
    "rerank": {"role", "weights", "languages", "max_tokens", "made_for"},
}
DTYPES = {"BYTES": "TYPE_STRING"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    return lay_out(tmp_path_factory.mktemp("gpu"))


def config_of(folder: Path):
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())


def parameters(config) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}


def tensors(side) -> dict[str, tuple[str, list[int], bool]]:
    """Name -> type, dims and whether it may be left out."""
    return {
        tensor.name: (
            ModelConfig.DESCRIPTOR.fields_by_name["input"]
            .message_type.fields_by_name["data_type"]
            .enum_type.values_by_number[tensor.data_type]
            .name,
            list(tensor.dims),
            getattr(tensor, "optional", False),
        )
        for tensor in side
    }


def test_every_version_and_part_is_laid_out_and_nothing_else(repository):
    assert sorted(folder.name for folder in repository.iterdir()) == sorted(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_every_configuration_is_one_that_triton_takes(repository, model):
    config = config_of(repository / model)

    assert config.name == model
    assert bool(config.backend) != bool(config.platform)
    assert list((repository / model / "1").iterdir()), "Triton wants something in the folder of a version"
    assert "${" not in (repository / model / "config.pbtxt").read_text().replace(CHAT_TEMPLATE, "").replace(
        "$${brackets}", ""
    )


def test_no_configuration_has_what_triton_does_wrong(repository):
    preflight.check_repository(repository)


@pytest.mark.parametrize(("model", "role"), [(ENGINE, "llm"), (API, "llm"), (EMBEDDER, "embed")])
def test_what_is_asked_has_the_tensors_of_the_cpu(repository, model, role):
    ours, theirs = config_of(repository / model), config_of(CPU / role)

    assert tensors(ours.input) == tensors(theirs.input)
    expected = tensors(theirs.output)
    if role == "embed":
        expected["embedding"] = ("TYPE_FP32", [DIMS], False)
    assert tensors(ours.output) == {name: each for name, each in expected.items() if name not in WORDS}
    assert ours.model_transaction_policy == theirs.model_transaction_policy
    assert ours.version_policy == theirs.version_policy


def test_the_reranker_takes_pairs_and_gives_scores(repository):
    config = config_of(repository / RERANKER)

    text = ("TYPE_STRING", [1], False)
    assert tensors(config.input) == {"query": text, "text": text}
    assert tensors(config.output) == {
        "score": ("TYPE_FP32", [1], False),
        "num_tokens": ("TYPE_INT32", [1], False),
    }


@pytest.mark.parametrize("model", PARTS)
def test_clients_are_told_all_that_they_read(repository, model):
    told = parameters(config_of(repository / model))

    assert told.keys() >= CLIENTS_READ[told["role"]]


@pytest.mark.parametrize("model", [EMBEDDER, RERANKER])
def test_every_input_of_every_step_is_produced_by_something(repository, model):
    config = config_of(repository / model)
    known = {name: kind for name, (kind, _, _) in tensors(config.input).items()}

    for step in config.ensemble_scheduling.step:
        part = config_of(repository / step.model_name)
        inputs, outputs = tensors(part.input), tensors(part.output)
        assert step.input_map.keys() == inputs.keys()
        assert step.output_map.keys() <= outputs.keys()
        assert {theirs: known[ours] for theirs, ours in step.input_map.items()} == {
            name: kind for name, (kind, _, _) in inputs.items()
        }
        known |= {ours: outputs[theirs][0] for theirs, ours in step.output_map.items()}
        assert part.max_batch_size == config.max_batch_size

    assert {name: known[name] for name in tensors(config.output)} == {
        name: kind for name, (kind, _, _) in tensors(config.output).items()
    }


@pytest.mark.parametrize("model", [EMBEDDER, RERANKER])
def test_encoders_batch_on_the_gpu_and_never_more_than_the_plan_takes(repository, model):
    config = config_of(repository / f"{model}.encoder")

    assert config.backend == "tensorrt"
    assert (repository / f"{model}.encoder" / "1" / "model.plan").exists()
    assert max(config.dynamic_batching.preferred_batch_size) <= config.max_batch_size
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.gpus)) == (ModelInstanceGroup.KIND_GPU, 2, [0])


def test_the_engine_batches_in_flight_with_paged_blocks_that_are_reused_and_prompts_in_chunks(repository):
    config = config_of(repository / f"{ENGINE}.engine")
    set_ = parameters(config)

    assert config.model_transaction_policy.decoupled
    assert config.max_batch_size == SLOTS
    assert set_["gpt_model_type"] == "inflight_fused_batching"
    assert set_["gpt_model_path"] == f"/models/{ENGINE}.engine/1/engine"
    assert (repository / f"{ENGINE}.engine" / "1" / "engine" / "config.json").exists()
    assert {
        set_[name] for name in ("enable_kv_cache_reuse", "enable_chunked_context", "exclude_input_in_output")
    } == {"true"}
    # The backend reads these without a default: without them it does not start.
    assert {"tokenizer_dir", "guided_decoding_backend", "xgrammar_tokenizer_info_path"} <= set_.keys()


def test_the_front_sends_the_engine_only_tensors_that_it_has(repository):
    known = tensors(config_of(repository / f"{ENGINE}.engine").input)
    source = (repository / ENGINE / "1" / "model.py").read_text(encoding="utf-8")
    kinds = {"int32": "TYPE_INT32", "float32": "TYPE_FP32", "uint64": "TYPE_UINT64", "bool_": "TYPE_BOOL"}
    sent = {
        *re.findall(r'tensor\("(\w+)", .*?, np\.(\w+)\)', source),
        *re.findall(r'\("(\w+)", np\.(\w+)\),', source),
    }

    assert len(sent) == len(known)
    assert {name: kinds[kind] for name, kind in sent} == {name: kind for name, (kind, _, _) in known.items()}


def test_the_llm_api_is_given_what_the_front_promises(repository):
    arguments = yaml.safe_load((repository / API / "1" / "arguments.yaml").read_text(encoding="utf-8"))
    promised = parameters(config_of(repository / API))

    assert arguments["max_seq_len"] == int(promised["context_length"]) == CONTEXT
    assert arguments["max_batch_size"] == int(promised["slots"]) == SLOTS
    assert arguments["kv_cache_config"]["enable_block_reuse"] is arguments["enable_chunked_prefill"] is True
    assert arguments["skip_tokenizer_init"] is True, "the front reads and writes text itself"


def test_both_paths_share_the_code_that_makes_text_of_tokens(repository):
    assert (repository / ENGINE / "1" / "answer.py").read_bytes() == (
        repository / API / "1" / "answer.py"
    ).read_bytes()


@pytest.mark.parametrize("file", sorted(GPU.rglob("*.py")), ids=str)
def test_every_program_compiles(file):
    compile(file.read_text(encoding="utf-8"), str(file), "exec")


def test_a_chat_template_of_many_lines_and_quotes_arrives_as_it_was(repository):
    told = parameters(config_of(repository / ENGINE))["chat_template"]

    assert told == CHAT_TEMPLATE
    prompt = chat_template(told).render(messages=[{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert prompt.startswith("<|user|>\nHi</s>")


@pytest.mark.parametrize("model", PARTS)
def test_a_server_of_another_version_is_told_from_the_right_one(repository, model):
    made_for = json.loads(parameters(config_of(repository / model))["made_for"])

    assert misfit(made_for, versions()["TRITON_VERSION"]) is None
    assert "2.51.0" in str(misfit(made_for, "2.51.0"))


def test_versions_are_named_as_the_mesh_names_them():
    assert layout.NAMED.pattern == settings.MODEL.pattern
    assert settings.MODEL.pattern in (GPU / "scripts" / "common.sh").read_text(encoding="utf-8")


def test_bytes_per_token_is_a_low_estimate_of_what_the_tokenizer_does(repository):
    assert float(parameters(config_of(repository / ENGINE))["bytes_per_token"]) == 0.8  # a token for each byte


@pytest.mark.parametrize(
    ("values", "says"),
    [({}, "no value for model"), ({"model": "x", "modle": "y"}, "no place for modle")],
)
def test_a_template_and_its_values_must_fit(values, says):
    with pytest.raises(UnfitValues, match=says):
        render('name: "${model}"', values)


# What clients send: their own code, with a Triton that writes down what it is asked and answers as configured.


class Recorder:
    """Triton, as the clients see it: what they are told comes from the repository, what they send is kept."""

    def __init__(self, config) -> None:
        self.config = config
        self.sent: list[InferInput] = []
        self.client = self

    def __call__(self, url: str) -> "Recorder":
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        pass

    async def wait_for_model(self, model: str) -> dict[str, str]:
        return parameters(self.config)

    async def infer(self, model: str, inputs: list[InferInput], **_):
        self.sent.extend(inputs)
        return Result(self.config)

    def stream_infer(self, requests, **_) -> "Recorder":
        self.requests = requests
        return self

    async def __anext__(self):
        if self.requests is None:
            raise StopAsyncIteration
        async for request in self.requests:
            self.sent.extend(request["inputs"])
        self.requests = None
        return Result(self.config), None

    def cancel(self) -> None:
        pass


class Result:
    """An answer of the configured outputs, all zero or empty."""

    def __init__(self, config) -> None:
        self.outputs = tensors(config.output)

    def as_numpy(self, name: str) -> np.ndarray:
        kind, dims, _ = self.outputs[name]
        if kind == "TYPE_STRING":
            return np.full((1, *dims), b"", np.object_)
        return np.zeros((1, *dims), np.float32 if kind == "TYPE_FP32" else np.int32)


def assert_fits(sent: list[InferInput], config) -> None:
    known = tensors(config.input)
    for tensor in sent:
        kind, dims, _ = known[tensor.name()]
        assert DTYPES.get(tensor.datatype(), f"TYPE_{tensor.datatype()}") == kind
        rows, *shape = tensor.shape()
        assert rows <= config.max_batch_size
        assert len(shape) == len(dims)
        assert all(want in {-1, got} for want, got in zip(dims, shape, strict=True))
    required = {name for name, (_, _, optional) in known.items() if not optional}
    assert required <= {tensor.name() for tensor in sent}


@pytest.mark.parametrize("model", [ENGINE, API])
async def test_what_the_client_of_language_models_sends_is_what_the_gpu_takes(repository, monkeypatch, model):
    triton = Recorder(config_of(repository / model))
    monkeypatch.setattr(generate, "Triton", triton)

    async with TritonLanguageModel("nowhere", model) as llm:
        sampling = Sampling(max_tokens=5, temperature=0.3, top_p=0.9, seed=7, stop=("\n", "END"))
        pieces = [piece async for piece in llm.generate([Message("user", "Hi")], sampling)]
        await llm.require_alive()

    assert len(pieces) == 1
    assert llm.info.context_length == CONTEXT
    assert_fits(triton.sent, triton.config)
    assert {tensor.name() for tensor in triton.sent} >= {"stop_words", "seed", "stream", "temperature", "top_p"}


async def test_what_the_client_of_embedders_sends_is_what_the_gpu_takes(repository, monkeypatch):
    triton = Recorder(config_of(repository / EMBEDDER))
    monkeypatch.setattr(embed, "Triton", triton)

    async with TritonEmbedder("nowhere", EMBEDDER) as embedder:
        vectors = await embedder.embed(["one", "two"], Role.QUERY)

    assert vectors.shape == (2, embedder.info.dims)
    assert embedder.info.query_prefix == "query: "
    assert_fits(triton.sent, triton.config)


# Versions: one place.


def versions() -> dict[str, str]:
    lines = (GPU / "versions.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_page_on_gpus_names_the_versions_of_the_versions_file_and_no_other():
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")

    assert [name for name, value in versions().items() if value not in page] == []
    assert set(re.findall(r"nvcr\.io/nvidia/[\w./:-]+\w", page)) <= set(versions().values())


def test_no_script_names_a_version_itself():
    for file in (*GPU.rglob("*.sh"), GPU / "Dockerfile", *GPU.rglob("*.py"), *GPU.rglob("*.pbtxt")):
        assert "nvcr.io" not in file.read_text(encoding="utf-8"), file


def test_texts_are_cut_into_the_same_tokens_here_and_there():
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert f"tokenizers=={versions()['TOKENIZERS_VERSION']}" in pinned["project"]["optional-dependencies"]["server"]


def test_every_page_says_that_nothing_of_it_was_run_here():
    pages = [ROOT / "docs" / "gpu.md", GPU / "README.md", *(GPU / "scripts").glob("[!c]*.sh")]

    for page in pages:
        assert re.search("validated, not run here", page.read_text(encoding="utf-8"), re.IGNORECASE), page


def test_the_table_of_memory_follows_from_its_formula():
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \w+ \| ([\d.]+) \| ([12]) \| ([\d,]+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    gib, embeddings = 2**30, 1.05e9
    weights = (8.03e9 - embeddings) + 2 * embeddings

    assert len(rows) == 6
    for usable, gpus, *told in rows:
        free = float(usable) * gib - weights / int(gpus) - 3 * gib
        tokens = int(0.85 * free / (2 * 32 * 8 * 128 / int(gpus)))
        assert told == [f"{tokens:,}", str(tokens // 8192), str(tokens // 2048)]
