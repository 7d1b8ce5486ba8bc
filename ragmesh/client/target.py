"""Which mesh a client talks to, and how."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from ragmesh import settings as configuration
from ragmesh.client import profiles
from ragmesh.client.profiles import LOCAL, Profile
from ragmesh.errors import InvalidArgument, Unavailable
from ragmesh.rpc.discovery import discover
from ragmesh.settings import Settings
from ragmesh.up import state

SERVICES = ("document", "query", "admin")  # that a client calls
PORTS = {"grpc": 80, "grpcs": 443}


def settings_of(
    target: str | Settings | None,
    *,
    profile: str | None = None,
    api_key: str | None = None,
    **tls: str | Path | None,
) -> Settings:
    """The settings with which a mesh is reached. Raises InvalidArgument, NotFound, Unavailable."""
    settings = target if isinstance(target, Settings) else _found(target, profile, _loaded())
    own: dict[str, object] = {name: Path(file) for name, file in tls.items() if file is not None}
    if api_key is not None:
        own["api_key"] = SecretStr(api_key)
    settings = settings.model_copy(update=own)
    _check(settings)
    return settings


def check_target(target: str) -> None:
    """Raises InvalidArgument for an address that can't be read."""
    _check(_at(target, _loaded()))


def of_this_machine(settings: Settings) -> Settings:
    """Those of the mesh that runs on the data folder. Raises Unavailable where none does."""
    if state.read(settings.home) is None:
        raise Unavailable(
            f"no mesh runs on {settings.home}: start it with `ragmesh up`, or name another one:"
            " `consul://HOST:PORT`, `grpcs://HOST`, or a profile (`ragmesh profile add`)"
        )
    return state.of_running_mesh(settings)


def _loaded() -> Settings:
    try:
        return configuration.load()
    except ValidationError as error:
        raise InvalidArgument(f"bad settings:\n{configuration.explain(error)}") from None


def _found(target: str | None, profile: str | None, settings: Settings) -> Settings:
    if target:
        return _at(target, settings)
    if name := profile or settings.mesh:
        return _of_profile(name, settings)
    if "discovery_url" in settings.model_fields_set:
        return _at(settings.discovery_url, settings)
    return _of_profile(profiles.read().current or LOCAL, settings)


def _of_profile(name: str, settings: Settings) -> Settings:
    if name == LOCAL:
        return of_this_machine(settings)
    profile: Profile = profiles.read().named(name)
    reached = _at(profile.url, settings)
    return reached.model_copy(update=profile.settings())


def _at(target: str, settings: Settings) -> Settings:
    """The settings for a mesh at an address. One behind a balancer has all its services there."""
    scheme = target.partition(":")[0]
    if scheme not in PORTS:
        return settings.model_copy(update={"discovery_url": target})
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port or PORTS[scheme]
    except ValueError:
        host, port = None, 0
    if not host:
        raise InvalidArgument(f"{target!r} is no address of a mesh: give {scheme}://HOST or {scheme}://HOST:PORT")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    everywhere = ",".join(f"{service}={address}" for service in SERVICES)
    return settings.model_copy(update={"discovery_url": f"static:{everywhere}", "tls": scheme == "grpcs"})


def _check(settings: Settings) -> None:
    """Raises InvalidArgument for an address that can't be read, and for files that are not there."""
    try:
        discover(settings)
    except ValueError as error:
        raise InvalidArgument(str(error), field="target") from None
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise InvalidArgument("a certificate and its private key go together: give both, or neither")
    for file in filter(None, (settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)):
        if not file.is_file():
            raise InvalidArgument(f"{file} is not there: it should hold a certificate or key, in PEM")
