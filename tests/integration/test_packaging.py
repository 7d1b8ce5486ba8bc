"""What `pip install ragmesh` brings, and what it leaves out: the wheel, in an environment of its own."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.sdk_services import serving

ROOT = Path(__file__).parents[2]
SHIPPED = ("ragmesh", "gateway", "svc_admin", "svc_document", "svc_query", "bench", "triton_models")
LEFT_OUT = (
    "pymilvus", "tritonclient", "pytriton", "sqlalchemy", "aiokafka", "redis", "obstore", "onnxruntime",
    "tokenizers", "pypdfium2", "docx", "opentelemetry.sdk", "cryptography", "chaos",
)  # fmt: skip


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program far from the clone, so that it can import only what is installed."""
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=150, cwd="/")


def succeed(*command: str | Path) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python: Path, *arguments: str | Path) -> str:
    """Our pip, on another environment: one without a pip of its own is made in no time."""
    return succeed(sys.executable, "-m", "pip", "--python", python, *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """ragmesh as it is published, built from a copy: a build leaves its scraps where it works."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    succeed(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", source, source
    )
    (built,) = source.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of a fresh environment with the wheel and no extras, in the versions that we run."""
    home = tmp_path_factory.mktemp("installed")
    succeed(sys.executable, "-m", "venv", "--without-pip", home / "venv")
    pins = re.findall(r"^[^\s#].*==[^\\\n]+", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    (home / "pins.txt").write_text("\n".join(pins))  # without the hashes, which a wheel of today does not have
    python = home / "venv" / "bin" / "python"
    pip(python, "install", "--quiet", "--no-compile", "--prefer-binary", "-c", home / "pins.txt", wheel)
    return python.parent


def test_every_file_of_the_model_repositories_is_in_the_wheel(wheel):
    files = [file for file in (ROOT / "triton_models").rglob("*") if file.is_file()]
    ours = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}

    with ZipFile(wheel) as packed:
        assert ours - set(packed.namelist()) == set()
        assert packed.getinfo("triton_models/gpu/scripts/launch.sh").external_attr >> 16 & 0o100, "it is a program"


def test_what_servers_need_is_left_out(installed):
    finding = (
        "from importlib.util import find_spec\n"
        f"print([name for name in {LEFT_OUT} if find_spec(name.split('.')[0]) and find_spec(name)])"
    )

    assert succeed(installed / "python", "-c", finding).strip() == "[]"


def test_nothing_that_is_installed_is_missing_something(installed):
    assert "No broken requirements" in pip(installed / "python", "check")


async def test_both_clients_and_the_command_work_against_a_mesh(installed):
    code = (
        "import asyncio, sys, ragmesh\n"
        "async def main():\n"
        "    async with ragmesh.Client(sys.argv[1]) as client:\n"
        "        print((await client.ask('When?')).text)\n"
        "asyncio.run(main())\n"
        "with ragmesh.SyncClient(sys.argv[1]) as client:\n"
        "    print(len(client.search('ferry').results), client.embed)\n"
    )
    async with serving() as served:
        used = await _printed(installed / "python", "-c", code, served.target)
        asked = await _printed(installed / "ragmesh", "ask", "When?", target=served.target)
        listed = await _printed(installed / "ragmesh", "ls", "--json", target=served.target)

    assert used.startswith("At six. [1] \n1 ")
    assert asked.startswith("At six. [1] \n")
    assert '"id": "5"' in listed


@pytest.mark.parametrize(
    ("command", "extra"), [("up", "local"), ("demo", "local"), ("models build", "local"), ("bench", "bench")]
)
def test_a_command_that_needs_more_says_what_to_install(installed, command, extra):
    done = run(installed / "ragmesh", *command.split())

    assert done.returncode == 1
    assert f"pip install 'ragmesh[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_other_command_can_be_run(installed):
    loading = (
        "from ragmesh.cli.commands import PLACES, load\n"
        "print([load(name).name for name, place in PLACES.items() if not place.extra])"
    )

    assert "'eval'" in succeed(installed / "python", "-c", loading)
    assert "ragmesh profile add" in succeed(installed / "ragmesh", "--help")


def test_types_of_the_package_are_seen_by_those_who_use_it(installed):
    package = succeed(installed / "python", "-c", "import ragmesh; print(ragmesh.__path__[0])").strip()

    assert Path(package, "py.typed").exists()


async def _printed(*command: str | Path, target: str = "") -> str:
    """What a program prints while the services of this process answer it."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nowhere",
        **({"RAGMESH_DISCOVERY_URL": target} if target else {}),
    }
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd="/", env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()
