"""What stands between a fresh clone and a mesh: a fitting interpreter, locked dependencies, a word on the rest."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture
def suitable():
    """scripts/suitable.py as a module of its own."""
    spec = importlib.util.spec_from_file_location("suitable", ROOT / "scripts" / "suitable.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def setup(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with nothing to find but what the test names."""
    return subprocess.run(
        ["/bin/bash", str(ROOT / "scripts" / "setup.sh"), *arguments],
        env={"HOME": "/nowhere", "PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_this_python_is_suitable():
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "suitable.py")], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("version", "glibc", "library", "says"),
    [
        ("3.13", "2.39", True, "3.11 or 3.12 is needed"),
        ("3.10", "2.39", True, "3.11 or 3.12 is needed"),
        ("3.12", "2.31", True, "glibc 2.35 is needed"),
        ("3.12", "", True, "not glibc"),
        ("3.11", "2.35", False, "apt install libpython3.11"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(suitable, monkeypatch, version, glibc, library, says):
    monkeypatch.setattr(suitable, "VERSION", version)
    monkeypatch.setattr(suitable.platform, "libc_ver", lambda: ("glibc", glibc))
    monkeypatch.setattr(suitable, "has_library", lambda: library)

    assert says in suitable.problem()


def test_an_unknown_kind_of_setup_is_refused():
    done = setup("everything")

    assert done.returncode == 1
    assert "'run' or 'dev'" in done.stderr


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_versions_and_hashes_and_names_no_host(lock):
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert entries
    assert all(
        re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry) and "--hash=sha256:" in entry for entry in entries
    )
    assert "://" not in text


def locked(name: str) -> dict[str, str]:
    """Versions by package."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_lock_has_what_the_project_asks_for(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {"run": project["project"]["dependencies"], "dev": project["dependency-groups"]["dev"]}
    pins = locked(name)

    for entry in asked[name]:
        package, _, version = re.sub(r"\[.*\]|>=.*", "", entry).partition("==")
        assert package.lower() in pins, f"{package} is not locked: make lock"
        assert version in {"", pins[package.lower()]}, f"{entry} is locked at another version: make lock"


def test_tests_run_with_what_is_run():
    assert locked("run").items() <= locked("dev").items()
