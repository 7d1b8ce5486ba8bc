"""The web page's files, read once: how each is sent, and the version that stands in their addresses.

The address of a file names the state of all of them, so a browser may keep it for ever; only the two documents that
name these addresses are asked for again each time.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("web")
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
DOCUMENTS = ("index.html", "docs.html")
LAZY = ("charts.js", "docs.js", "vendor/uplot.js")  # not needed to begin with
VERSION_MARK, PRELOADS_MARK = "@VERSION@", "<!-- preloads -->"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent."""

    content_type: str
    body: bytes
    packed: bytes  # gzip
    etag: str


@dataclass(frozen=True, slots=True)
class Site:
    """All files, by their path in the folder."""

    version: str
    files: Mapping[str, File]


@cache
def site() -> Site:
    """The files of this version of ragmesh."""
    read = dict(_read())
    version = hashlib.sha256(b"\0".join(path.encode() + body for path, body in sorted(read.items()))).hexdigest()[
        :12
    ]
    for name in DOCUMENTS:
        read[name] = _with_addresses(read[name].decode(), version, read).encode()
    return Site(version, {path: _file(path, body) for path, body in read.items()})


def _read() -> Iterator[tuple[str, bytes]]:
    for path in FOLDER.rglob("*"):
        if path.suffix in TYPES:
            yield path.relative_to(FOLDER).as_posix(), path.read_bytes()


def _with_addresses(html: str, version: str, files: Mapping[str, bytes]) -> str:
    """Names the modules in advance: a browser then fetches all at once, not one import after the other."""
    modules = sorted(path for path in files if path.endswith(".js") and path not in LAZY)
    preloads = "\n".join(f'<link rel="modulepreload" href="/web/{version}/{path}">' for path in modules)
    return html.replace(VERSION_MARK, version).replace(PRELOADS_MARK, preloads)


def _file(path: str, body: bytes) -> File:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return File(TYPES[Path(path).suffix], body, gzip.compress(body, mtime=0), etag)
