"""Settings say where they came from, hide secrets, and explain what is wrong with them."""

import pytest
from pydantic import ValidationError

from ragmesh import settings as configuration
from ragmesh.settings import HIDDEN


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAGMESH_ENV_FILE", raising=False)


def origins_by_key():
    return {origin.key: origin for origin in configuration.origins(configuration.load())}


def test_every_setting_says_where_its_value_came_from(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("RAGMESH_ZONE=a\nRAGMESH_PORT=9\n")
    monkeypatch.setenv("RAGMESH_PORT", "8081")

    origins = origins_by_key()

    assert (origins["RAGMESH_PORT"].value, origins["RAGMESH_PORT"].source) == ("8081", "environment")
    assert (origins["RAGMESH_ZONE"].value, origins["RAGMESH_ZONE"].source) == ("a", "file")
    assert origins["RAGMESH_LEASE_S"].source == "default"
    assert all(origin.description for origin in origins.values())


def test_a_secret_is_never_shown(monkeypatch):
    monkeypatch.setenv("RAGMESH_MILVUS_TOKEN", "root:hunter2")

    origins = origins_by_key()

    assert origins["RAGMESH_MILVUS_TOKEN"].value == HIDDEN
    assert "hunter2" not in repr(origins)
    assert "hunter2" not in repr(configuration.load())


def test_a_bad_value_is_explained_by_the_name_that_was_set(monkeypatch):
    monkeypatch.setenv("RAGMESH_PORT", "eighty")

    with pytest.raises(ValidationError) as raised:
        configuration.load()

    assert "RAGMESH_PORT: Input should be a valid integer" in configuration.explain(raised.value)


def test_settings_that_do_not_fit_together_are_refused(monkeypatch):
    monkeypatch.setenv("RAGMESH_CHUNK_TOKENS", "64")
    monkeypatch.setenv("RAGMESH_CHUNK_OVERLAP_TOKENS", "60")

    with pytest.raises(ValidationError, match="at most half"):
        configuration.load()


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("SERVICE_SECRET", "short", "at least 32"), ("OIDC_ISSUER", "https://issuer.example", "needs oidc_audience")],
)
def test_settings_that_would_open_the_mesh_are_refused(monkeypatch, name, value, advice):
    monkeypatch.setenv(f"RAGMESH_{name}", value)

    with pytest.raises(ValidationError, match=advice):
        configuration.load()


def test_what_is_not_set_lies_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RAGMESH_DATA_DIR", str(tmp_path))

    settings = configuration.load()

    assert settings.database == f"sqlite+aiosqlite:///{tmp_path}/ragmesh.db"
    assert settings.blobs == f"file://{tmp_path}/blobs"
    assert settings.models == tmp_path / "model-repository"


def test_the_common_names_of_log_level_and_trace_endpoint_are_honoured(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")

    settings = configuration.load()

    assert (settings.log_level, settings.otlp_endpoint) == ("DEBUG", "http://collector:4317")
    assert origins_by_key()["RAGMESH_LOG_LEVEL"].source == "environment"
