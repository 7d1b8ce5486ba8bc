"""Zip containers that may be bombs: looked at before anything is unpacked."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from svc_document.parse.document import ParseError, Source, encrypted

UNPACKED_MAX_BYTES = 1 << 30
SMALL_BYTES = 32 << 20  # below this no ratio is suspicious
RATIO_MAX = 500  # XML of the dullest table stays below; a bomb is near deflate's limit of 1:1032
MEMBERS_MAX = 50_000
PROLOG_BYTES = 2048


def check_archive(source: Source, *, doctype_allowed: bool = False) -> None:
    """Raises ParseError where unpacking would be dear or dangerous.

    The sizes are those that the directory claims; zipfile never unpacks more of a member than that.
    """
    with zipfile.ZipFile(source.path) as archive:
        members = archive.infolist()
        _check_size(source, members)
        if any(member.flag_bits & 1 for member in members):
            raise encrypted(source)
        if doctype_allowed:
            return
        for member in members:
            if member.filename.endswith((".xml", ".rels")):
                _check_prolog(source, archive, member)


@contextmanager
def opening(source: Source, what: str) -> Iterator[None]:
    """Turns whatever a library raises on a malformed package into a ParseError."""
    try:
        yield
    except (ParseError, MemoryError):
        raise
    except Exception as error:
        raise ParseError(
            "broken", f"{source.name} is not a valid {what} ({type(error).__name__}): save it anew and upload that"
        ) from error


def _check_size(source: Source, members: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if (
        unpacked > UNPACKED_MAX_BYTES
        or len(members) > MEMBERS_MAX
        or (unpacked > SMALL_BYTES and unpacked > RATIO_MAX * packed)
    ):
        raise ParseError(
            "too_large_unpacked",
            f"{source.name} unpacks to {unpacked:,} bytes in {len(members):,} parts from {packed:,} bytes, "
            "which no real document does: upload the document itself",
        )


def _check_prolog(source: Source, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with archive.open(member) as file:
        prolog = file.read(PROLOG_BYTES).replace(b"\0", b"")  # UTF-16 becomes readable
    if b"<!DOCTYPE" in prolog or b"<!ENTITY" in prolog:
        raise ParseError(
            "broken", f"{source.name} declares XML entities, which Office never does: save it anew and upload that"
        )
