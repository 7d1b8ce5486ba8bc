"""What names, metadata and digests may look like. Each check returns its value, or raises InvalidArgument."""

import re
import unicodedata
from collections.abc import Mapping

from ragmesh.errors import InvalidArgument
from svc_document.model import DEFAULT_COLLECTION

COLLECTION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
METADATA_KEY = re.compile(r"[a-z0-9_]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAME_MAX_CHARS = 255
KEY_MAX_CHARS = 255
METADATA_MAX_KEYS = 32
METADATA_MAX_CHARS = 1024
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, line and paragraph ends


def collection_name(name: str) -> str:
    """A collection's name; empty means the default one."""
    name = name or DEFAULT_COLLECTION
    if not COLLECTION.fullmatch(name):
        raise InvalidArgument(
            f"{_shown(name)} is no collection name: use 1 to 63 lower-case letters, digits and hyphens, "
            "and begin with a letter or digit",
            field="collection",
        )
    return name


def document_name(name: str) -> str:
    """A file name without its folder."""
    if not name.strip():
        raise InvalidArgument("the document has no name: give its file name", field="name")
    if name in {".", ".."}:
        raise InvalidArgument(f"the name {name!r} is a folder's: give the file's own name", field="name")
    if len(name) > NAME_MAX_CHARS:
        raise InvalidArgument(f"the name has {len(name)} characters: use at most {NAME_MAX_CHARS}", field="name")
    if bad := next((c for c in name if c in "/\\" or unicodedata.category(c) in UNPRINTABLE), None):
        raise InvalidArgument(
            f"the name {_shown(name)} contains {_shown(bad)}: use a file name without folders, slashes, "
            "backslashes and control characters",
            field="name",
        )
    return name


def document_id(value: str) -> str:
    """A document's id."""
    if not UUID.fullmatch(value):
        raise InvalidArgument(f"{_shown(value)} is no document id: ids are lower-case UUIDs", field="id")
    return value


def metadata(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """Free keys and values."""
    if len(pairs) > METADATA_MAX_KEYS:
        raise InvalidArgument(f"{len(pairs)} metadata keys: use at most {METADATA_MAX_KEYS}", field="metadata")
    for key, value in pairs.items():
        if not METADATA_KEY.fullmatch(key):
            raise InvalidArgument(
                f"{_shown(key)} is no metadata key: use 1 to 64 lower-case letters, digits and underscores",
                field="metadata",
            )
        if len(value) > METADATA_MAX_CHARS or "\0" in value:
            raise InvalidArgument(
                f"the value of {key} is too long or has a NUL: use at most {METADATA_MAX_CHARS} characters",
                field="metadata",
            )
    return pairs


def sha256(digest: str) -> str:
    """A SHA-256 that the caller expects."""
    if not SHA256.fullmatch(digest):
        raise InvalidArgument("sha256 must be 64 lower-case hex digits", field="sha256")
    return digest


def idempotency_key(key: str) -> str:
    """A client's own key for an upload; empty for none."""
    if len(key) > KEY_MAX_CHARS or not key.isprintable():
        raise InvalidArgument(
            f"the idempotency key must be at most {KEY_MAX_CHARS} printable characters", field="idempotency_key"
        )
    return key


def _shown(text: str) -> str:
    """A hostile text as an error message may carry it."""
    return ascii(text if len(text) <= 40 else text[:40] + "…")
