"""The secret that the processes of a mesh on one machine share: made once, kept in the data folder.

Whoever can read that folder can read every document in it, so the command line may use the secret too: the first
API key is made with it.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from ragmesh.settings import Settings

FILE = "service.secret"
SECRET_BYTES = 32


def ensured(settings: Settings) -> Settings:
    """The settings with a secret, where auth is required and none is set."""
    if settings.auth == "open" or settings.service_secret.get_secret_value():
        return settings
    _make(settings.home / FILE)
    return known(settings)


def known(settings: Settings) -> Settings:
    """The settings with the secret of their data folder, if none is set and this user may read it."""
    if settings.service_secret.get_secret_value():
        return settings
    with suppress(FileNotFoundError, PermissionError):
        kept = SecretStr((settings.home / FILE).read_text(encoding="ascii").strip())
        return settings.model_copy(update={"service_secret": kept})
    return settings


def _make(file: Path) -> None:
    with suppress(FileExistsError), open(file, "x", encoding="ascii", opener=_for_the_owner) as made:
        made.write(secrets.token_hex(SECRET_BYTES))


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
