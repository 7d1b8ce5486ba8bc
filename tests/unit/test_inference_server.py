"""How the embedded Triton is started."""

import os
from pathlib import Path

from ragmesh.inference import server
from ragmesh.inference.preflight import Installation
from ragmesh.settings import Settings

TRITON = Installation(Path("/opt/triton"), Path("/opt/triton/stub"), Path("/opt/python/lib"))


def test_the_command_follows_the_settings_and_loads_what_is_there(tmp_path: Path):
    for model in ("e5-small@1", "house@2"):
        (tmp_path / model).mkdir()
        (tmp_path / model / "config.pbtxt").touch()
    settings = Settings(
        triton_url="127.0.0.1:9001", triton_metrics_url="http://127.0.0.1:9002/metrics", models_dir=tmp_path
    )

    command = server.command(settings, TRITON, Path("/backends"), "ragmesh_x_")

    assert command[0] == "/opt/triton/bin/tritonserver"
    assert {"--grpc-address=127.0.0.1", "--grpc-port=9001", "--metrics-port=9002"} <= set(command)
    assert f"--model-repository={tmp_path}" in command
    assert [part for part in command if part.startswith("--load-model")] == ["--load-model=e5-small@1"]
    assert "--backend-config=python,shm-region-prefix-name=ragmesh_x_" in command


def test_the_interpreters_own_library_comes_first(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/other")
    monkeypatch.setenv("PYTHONHOME", "/wrong")

    environment = server.environment(TRITON)

    assert environment["LD_LIBRARY_PATH"] == f"/opt/python/lib{os.pathsep}/usr/lib/other"
    assert "PYTHONHOME" not in environment


def test_the_backend_folder_has_the_stub_and_is_made_anew(tmp_path):
    (tmp_path / "backends" / "python").mkdir(parents=True)
    (tmp_path / "backends" / "python" / "left").touch()

    folder = server.lay_out_backends(TRITON, tmp_path / "backends")

    assert {link.name: str(link.readlink()) for link in (folder / "python").iterdir()} == {
        "stub": "/opt/triton/stub",
        "libtriton_python.so": "/opt/triton/backends/python/libtriton_python.so",
        "triton_python_backend_utils.py": "/opt/triton/backends/python/triton_python_backend_utils.py",
    }


def test_only_the_shared_memory_of_this_data_folder_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SHARED_MEMORY", tmp_path)
    ours = server.region_prefix(Settings(data_dir=Path("/a")))
    theirs = server.region_prefix(Settings(data_dir=Path("/b")))
    for prefix in (ours, theirs):
        (tmp_path / f"{prefix}1234").touch()

    server.remove_regions(ours)

    assert [region.name for region in tmp_path.iterdir()] == [f"{theirs}1234"]
