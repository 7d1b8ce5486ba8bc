"""Which mesh a client finds, and what it says where there is none."""

import json

import pytest
import trustme
from grpc import ssl_server_credentials

import ragmesh
from ragmesh.client import profiles
from ragmesh.client.profiles import Profile, Profiles
from ragmesh.client.target import settings_of
from ragmesh.errors import InvalidArgument, NotFound, Unavailable
from ragmesh.settings import Settings
from tests.sdk_services import serving


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch, tmp_path):
    """A person without settings, profiles or a mesh."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGMESH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("RAGMESH_MESH", "RAGMESH_API_KEY", "RAGMESH_DISCOVERY_URL"):
        monkeypatch.delenv(name, raising=False)


PROD = Profile(url="consul://prod:8500", api_key="rm_prod")
STAGE = Profile(url="consul://stage:8500")


def found(**chosen: object) -> str:
    return settings_of(None, **chosen).discovery_url  # type: ignore[arg-type]


def test_where_no_mesh_is_named_and_none_runs_it_is_said_what_to_do(tmp_path):
    with pytest.raises(Unavailable, match="start it with `ragmesh up`, or name another one") as raised:
        ragmesh.Client()

    assert str(tmp_path / "data") in raised.value.message


def test_a_mesh_is_looked_for_from_the_most_to_the_least_explicit(monkeypatch):
    profiles.write(Profiles(current="prod", meshes={"prod": PROD, "stage": STAGE}))
    assert found() == "consul://prod:8500", "the profile in use"

    monkeypatch.setenv("RAGMESH_DISCOVERY_URL", "consul://here:8500")
    assert found() == "consul://here:8500"

    monkeypatch.setenv("RAGMESH_MESH", "stage")
    assert found() == "consul://stage:8500"
    assert found(profile="prod") == "consul://prod:8500"
    assert settings_of("consul://named:1", profile="prod").discovery_url == "consul://named:1"
    with pytest.raises(Unavailable, match="no mesh runs"):
        found(profile="local")


def test_a_key_is_presented_to_its_own_mesh_only(monkeypatch):
    profiles.write(Profiles(meshes={"prod": PROD, "stage": STAGE}))
    monkeypatch.setenv("RAGMESH_API_KEY", "rm_mine")

    def key(target: str | None = None, **chosen: str) -> str:
        return settings_of(target, **chosen).api_key.get_secret_value()

    assert key(profile="prod") == "rm_prod"
    assert key(profile="stage") == "", "the environment's key was made for another mesh"
    assert key("consul://named:1") == "rm_mine"
    assert key(profile="prod", api_key="rm_given") == "rm_given"


def test_profiles_are_for_their_owner_only_and_come_back_as_they_were(tmp_path):
    kept = Profiles(current="prod", meshes={"prod": PROD})

    profiles.write(kept)

    file = tmp_path / "config" / "ragmesh" / "profiles.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert profiles.read() == kept
    assert "rm_prod" not in repr(kept)


def test_a_profile_that_is_not_there_or_cannot_be_read_is_told(tmp_path):
    profiles.write(Profiles(meshes={"prod": PROD}))
    with pytest.raises(NotFound, match="only local, prod"):
        found(profile="nowhere")

    (tmp_path / "config" / "ragmesh" / "profiles.json").write_text(json.dumps({"meshes": {"prod": {}}}))
    with pytest.raises(InvalidArgument, match="url: Field required"):
        found(profile="prod")


@pytest.mark.parametrize(
    ("target", "url", "tls"),
    [
        ("grpc://mesh:9000", "static:document=mesh:9000,query=mesh:9000,admin=mesh:9000", False),
        ("grpcs://mesh", "static:document=mesh:443,query=mesh:443,admin=mesh:443", True),
        ("grpcs://[::1]:1", "static:document=[::1]:1,query=[::1]:1,admin=[::1]:1", True),
        ("consul://mesh:8500", "consul://mesh:8500", False),
    ],
)
def test_a_target_is_read_as_what_it_is(target, url, tls):
    settings = settings_of(target)

    assert (settings.discovery_url, settings.tls) == (url, tls)


@pytest.mark.parametrize(
    "target", ["nonsense", "http://mesh", "consul://mesh", "static:query", "grpc://", "grpc://a:b"]
)
def test_a_target_that_cannot_be_read_is_refused(target):
    with pytest.raises(InvalidArgument):
        ragmesh.Client(target)


async def test_a_target_without_a_service_that_is_needed_is_refused():
    with pytest.raises(InvalidArgument, match="no address for 'document'"):
        async with ragmesh.Client("static:query=127.0.0.1:1"):
            pass


def test_files_of_a_connection_are_looked_at_before_it_is_made(tmp_path):
    with pytest.raises(InvalidArgument, match="is not there"):
        ragmesh.Client("grpcs://mesh", ca_file=tmp_path / "nowhere.pem")
    with pytest.raises(InvalidArgument, match="go together"):
        ragmesh.Client("grpcs://mesh", cert_file=tmp_path)


async def test_a_mesh_is_reached_by_tls_if_its_authority_is_known(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    credentials = ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])

    async with serving(credentials) as served:
        target = f"grpcs://{served.address}"
        async with ragmesh.Client(target, ca_file=tmp_path / "ca.pem") as client:
            assert (await client.search("ferry")).results
        async with ragmesh.Client(target, retries=0) as stranger:
            with pytest.raises(Unavailable):
                await stranger.search("ferry")


async def test_a_mesh_that_is_away_is_unavailable_and_nothing_is_printed(capfd):
    async with ragmesh.Client("grpc://127.0.0.1:1", retries=0) as client:
        with pytest.raises(Unavailable):
            await client.search("ferry")

    assert capfd.readouterr().out == ""


def test_whole_settings_are_taken_as_they_are():
    settings = Settings(discovery_url="consul://whole:1")

    assert settings_of(settings) == settings
