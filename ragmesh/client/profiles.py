"""The meshes that a person works with, by name: `~/.config/ragmesh/profiles.json`, for its owner's eyes only."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ragmesh.errors import InvalidArgument, NotFound
from ragmesh.settings import config_home, explain

LOCAL = "local"  # the mesh that `ragmesh up` runs on this machine
OWNER_ONLY = 0o600


class Profile(BaseModel):
    """How one mesh is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    api_key: str = Field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def settings(self) -> Mapping[str, object]:
        """What it says, by the names of settings."""
        return MappingProxyType(
            {
                # Also where it is empty: another mesh's key is not for this one, nor is its secret.
                "api_key": SecretStr(self.api_key),
                "service_secret": SecretStr(""),
                "tls_ca_file": self.ca_file,
                "tls_cert_file": self.cert_file,
                "tls_key_file": self.key_file,
            }
        )


class Profiles(BaseModel):
    """All of them, and which one is used where none is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: str = ""
    meshes: Mapping[str, Profile] = Field(default_factory=dict[str, Profile])

    def named(self, name: str) -> Profile:
        """One of them. Raises NotFound, naming those that there are."""
        if name not in self.meshes:
            known = ", ".join(sorted([LOCAL, *self.meshes]))
            raise NotFound(f"there is no profile {name!r}, only {known}: add it with `ragmesh profile add`")
        return self.meshes[name]


def read() -> Profiles:
    """The profiles of this person; none where there is no file. Raises InvalidArgument for a broken one."""
    file = _file()
    try:
        return Profiles.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Profiles()
    except ValidationError as error:
        raise InvalidArgument(f"{file} can't be read:\n{explain(error, prefix='')}") from None


def write(profiles: Profiles) -> None:
    """Keeps profiles: readers see the old ones or the new. They may hold keys, so nobody else may read them."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = file.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w", encoding="utf-8") as opened:  # noqa: PTH123 a mode is needed
        opened.write(profiles.model_dump_json(indent=2, exclude_defaults=True))
    scratch.replace(file)


def _file() -> Path:
    return config_home() / "profiles.json"
