"""The scripts for GPUs, without a GPU and without Docker: what they say, and what they refuse."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.gpu_repository import write_engine, write_tokenizer
from triton_models.gpu import layout
from triton_models.gpu.__main__ import main
from triton_models.gpu.errors import CannotLayOut
from triton_models.gpu.layout import Batches, Memory, Version

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "triton_models" / "gpu" / "scripts"
PROGRAMS = sorted(file.name for file in SCRIPTS.glob("*.sh") if file.name != "common.sh")


def run(script: str, *arguments: str | Path, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(SCRIPTS / script), *map(str, arguments)],
        env={"PATH": path, "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("script", PROGRAMS)
def test_every_script_tells_how_to_use_it(script):
    done = run(script, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"  {script} " in done.stdout + " \n" or f"  {script}\n" in done.stdout
    assert os.access(SCRIPTS / script, os.X_OK)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("build_llm.sh", "NAME@VERSION, --weights and --repository are needed"),
        ("build_llm.sh llama --weights w --repository r", "'llama' is not NAME@VERSION"),
        ("build_llm.sh llama@1 --weights w --repository r --tp 3", "--tp is 1 or 2, not '3'"),
        ("build_llm.sh llama@1 --weights w --repository r --slots many", "--slots takes a number, not 'many'"),
        ("build_llm.sh llama@1 --weights /nowhere --repository r", "/nowhere/tokenizer.json is not there"),
        ("build_llm.sh llama@1 --wieghts w", "--wieghts is not an option"),
        ("build_llm.sh llama@1 --weights", "--weights needs a value"),
        ("build_encoder.sh embed", "which role, and which NAME@VERSION"),
        ("build_encoder.sh chat e5@1 --weights w --repository r", "the role is embed or rerank, not 'chat'"),
        ("build_encoder.sh embed e5@1 --weights w --repository r --backend tflite", "not 'tflite'"),
        ("build_image.sh now", "it takes no arguments"),
        ("launch.sh", "llm or encoders?"),
        ("launch.sh llm --repository /nowhere", "/nowhere is not there: build a version first"),
        ("launch.sh llm --repository / --load llama", "'llama' is not NAME@VERSION"),
        ("unload.sh", "which NAME@VERSION?"),
        ("perf.sh llm", "which kind"),
        ("perf.sh llm llama@1 --loads few", "--loads is a list of numbers, not 'few'"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(command, says):
    script, *arguments = command.split()

    done = run(script, *arguments)

    assert done.returncode == 1
    assert done.stderr.startswith(f"{script}: ")
    assert says in done.stderr


class Docker:
    """A program named docker, which writes down what it is asked, and has an NVIDIA runtime."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "docker.log"
        program = folder / "bin" / "docker"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/bash\n"
            "if [[ $1 == info ]]; then echo '{\"nvidia\":{}}'; exit; fi\n"
            f'printf "%q " "$@" >> {shlex.quote(str(self.log))}; echo >> {shlex.quote(str(self.log))}\n'
        )
        program.chmod(0o755)
        self.path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"

    def calls(self) -> list[list[str]]:
        return [shlex.split(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def docker(tmp_path) -> Docker:
    return Docker(tmp_path)


@pytest.fixture
def weights(tmp_path) -> Path:
    folder = write_tokenizer(tmp_path / "weights")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 1024}))
    return folder


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


@pytest.mark.parametrize("tp", ["1", "2"])
def test_engines_are_quantised_built_and_laid_out_for_as_many_gpus(docker, weights, tmp_path, tp):
    repository = tmp_path / "models"

    done = run(
        *("build_llm.sh", "llama-3.1-8b@1", "--weights", weights, "--repository", repository, "--tp", tp),
        path=docker.path,
    )

    assert done.returncode == 0, done.stderr
    _, quantise, build, laid_out = docker.calls()
    assert (after(quantise, "--qformat"), after(quantise, "--kv_cache_dtype")) == ("fp8", "fp8")
    assert (after(quantise, "--tp_size"), after(quantise, "--export_format")) == (tp, "tensorrt_llm")
    assert (after(build, "--workers"), after(build, "--kv_cache_type")) == (tp, "paged")
    assert after(build, "--use_paged_context_fmha") == "enable", "chunked prompts and reuse of blocks need it"
    assert laid_out[-4:] == ["--gpus", ",".join("01"[: int(tp)]), "--repository", "/models"]


def test_a_checkpoint_for_the_llm_api_needs_no_engine(docker, weights, tmp_path):
    run(
        *("build_llm.sh", "llama@2", "--weights", weights, "--repository", tmp_path / "models", "--path", "api"),
        path=docker.path,
    )

    _, quantise, laid_out = docker.calls()
    assert after(quantise, "--export_format") == "hf"
    assert "api" in laid_out
    assert after(laid_out, "--weights") == "/work/checkpoint"


def test_an_embedder_becomes_a_plan_of_the_shapes_that_it_will_see(docker, weights, tmp_path):
    done = run(
        *("build_encoder.sh", "embed", "e5@1", "--weights", weights, "--repository", tmp_path / "models"),
        *("--query-prefix", "query: "),
        path=docker.path,
    )

    assert done.returncode == 0, done.stderr
    _, export, plan, laid_out = docker.calls()
    assert export[-4:] == ["--pooling", "mean", "--max-tokens", "512"]
    assert "--minShapes=input_ids:1x1,attention_mask:1x1" in plan
    assert "--maxShapes=input_ids:32x512,attention_mask:32x512" in plan
    assert "--stronglyTyped" in plan
    assert (after(laid_out, "--dims"), after(laid_out, "--query-prefix")) == ("1024", "query: ")
    assert after(laid_out, "--encoder") == "/work/model.plan"


def test_a_reranker_by_pytorch_is_its_weights(docker, weights, tmp_path):
    run(
        *("build_encoder.sh", "rerank", "bge@1", "--weights", weights, "--repository", tmp_path / "models"),
        *("--backend", "pytorch"),
        path=docker.path,
    )

    (laid_out,) = docker.calls()
    assert after(laid_out, "--encoder") == "/weights"
    assert "--dims" not in laid_out


def test_engines_run_in_orchestrator_mode_and_nothing_is_loaded_before_triton_is_up(docker, tmp_path):
    done = run("launch.sh", "llm", "--repository", tmp_path, "--load", "llama@1", path=docker.path)

    assert done.returncode == 0, done.stderr
    (call,) = docker.calls()
    triton = call[call.index("--", call.index("/serve.py")) + 1 :]
    assert triton[:5] == ["mpirun", "--allow-run-as-root", "-n", "1", "tritonserver"]
    assert "TRTLLM_ORCHESTRATOR=1" in call
    assert "--model-control-mode=explicit" in triton
    assert not [word for word in triton if word.startswith("--load-model")]
    assert after(call, "--load") == "llama@1"
    assert {"--grpc-address=127.0.0.1", "--http-address=127.0.0.1"} <= set(triton), "open to nobody unless asked"


def test_encoders_need_no_mpi(docker, tmp_path):
    run("launch.sh", "encoders", "--repository", tmp_path, path=docker.path)

    (call,) = docker.calls()
    assert "mpirun" not in call
    assert "--grpc-port=8011" in call


@pytest.mark.parametrize("kind", ["llm", "embed", "rerank"])
def test_what_would_be_measured_can_be_read_before(kind):
    done = run("perf.sh", kind, "x@1", "--loads", "1,8", "--dry-run", path=os.environ["PATH"])

    first, second = (shlex.split(line) for line in done.stdout.splitlines())
    assert (after(first, "--concurrency-range"), after(second, "--concurrency-range")) == ("1", "8")
    assert ("--streaming" in first) == (kind == "llm")


def test_the_whole_way_is_measured_through_the_mesh():
    done = run(
        *("perf.sh", "mesh", "ragmesh", "--url", "http://127.0.0.1:8080", "--tokenizer", "t", "--loads", "4"),
        *("--key", "k", "--dry-run"),
        path=os.environ["PATH"],
    )

    (words,) = (shlex.split(line) for line in done.stdout.splitlines())
    assert words[:2] == ["aiperf", "profile"]
    assert (after(words, "--concurrency"), after(words, "--api-key")) == ("4", "k")


# Laying out, where it must refuse.


@pytest.fixture
def version(tmp_path) -> Version:
    return Version("toy@1", tmp_path / "models", write_tokenizer(tmp_path / "tokenizer"), "a toy")


def lay_out_engine(version: Version, engine: Path, gpus: tuple[str, ...] = ("0",)) -> None:
    layout.lay_out_engine(version, Memory(), engine=engine, gpus=gpus, mount="/models")


def test_a_version_is_never_written_over(version, tmp_path):
    engine = write_engine(tmp_path / "engine")
    lay_out_engine(version, engine)

    with pytest.raises(CannotLayOut, match=r"toy@1, toy@1\.engine is there already: give the new version a number"):
        lay_out_engine(version, engine)


def test_an_engine_for_two_gpus_is_given_two(version, tmp_path):
    engine = write_engine(tmp_path / "engine", gpus=2)

    with pytest.raises(CannotLayOut, match="built for 2 GPUs, and is given 1"):
        lay_out_engine(version, engine)
    lay_out_engine(version, engine, ("2", "3"))

    assert 'string_value: "2,3"' in (version.repository / "toy@1.engine" / "config.pbtxt").read_text()


def test_what_fails_half_way_leaves_nothing(version, tmp_path):
    (version.tokenizer / "generation_config.json").write_text("{}")

    with pytest.raises(CannotLayOut, match="has no eos_token_id"):
        lay_out_engine(version, write_engine(tmp_path / "engine"))

    assert list(version.repository.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("tokenizer_config.json", {}, "has no chat template: take the instruct version"),
        ("tokenizer_config.json", {"chat_template": [{"name": "tools", "template": "x"}]}, "has no chat template"),
    ],
)
def test_a_model_without_a_chat_template_is_refused(version, tmp_path, file, content, says):
    (version.tokenizer / file).write_text(json.dumps(content))

    with pytest.raises(CannotLayOut, match=says):
        lay_out_engine(version, write_engine(tmp_path / "engine"))


def test_a_chat_template_of_its_own_file_comes_first(version, tmp_path):
    (version.tokenizer / "chat_template.jinja").write_text("{{ messages }}")
    lay_out_engine(version, write_engine(tmp_path / "engine"))

    assert "{{ messages }}" in (version.repository / "toy@1" / "config.pbtxt").read_text()


def test_an_encoder_of_an_unknown_kind_is_refused(version, tmp_path):
    with pytest.raises(CannotLayOut, match=r"neither a \.plan of TensorRT nor an \.onnx"):
        layout.lay_out_reranker(version, Batches(), encoder=tmp_path / "model.bin")


def test_an_encoder_by_pytorch_comes_with_its_code(version, tmp_path):
    weights = tmp_path / "bge-v1.5"
    weights.mkdir()
    (weights / "config.json").write_text("{}")

    layout.lay_out_embedder(version, Batches(pooling="cls"), encoder=weights, dims=8)

    part = version.repository / "toy@1.encoder"
    assert {file.name for file in (part / "1").iterdir()} == {"model.py", "encoder.py", "weights"}
    config = (part / "config.pbtxt").read_text()
    assert 'backend: "python"' in config
    assert 'key: "pooling" value { string_value: "cls" }' in config


def test_the_command_lays_out_and_says_what_is_wrong(version, tmp_path, capsys):
    command = [
        *("engine", "toy@1", "--repository", str(version.repository), "--tokenizer", str(version.tokenizer)),
        *("--title", "a toy", "--engine", str(write_engine(tmp_path / "engine"))),
    ]

    assert main(command) == 0
    assert main(command) == 1

    told = capsys.readouterr()
    assert told.out == f"toy@1 is in {version.repository}\n"
    assert "is there already" in told.err
