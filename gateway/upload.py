"""An upload on its way through the edge: read a piece, send a piece, hold nothing."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage
from pydantic import TypeAdapter, ValidationError

from gateway.problem import HttpProblem
from ragmesh.errors import InvalidArgument
from ragmesh.settings import MIB
from ragmesh.v1 import UploadDocumentRequest, UploadSpec

PIECE_BYTES = 256 * 1024
METADATA_MAX_BYTES = 64 * 1024
METADATA = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True)
class Upload:
    """A document that is coming in."""

    name: str
    metadata: Mapping[str, str]
    pieces: AsyncIterator[bytes]
    max_bytes: int
    idempotency_key: str  # empty for none

    async def messages(self, collection: str) -> AsyncGenerator[UploadDocumentRequest, None]:
        """The upload as the contract wants it: the spec, then the bytes in pieces of at most 256 KiB.

        Raises HttpProblem where they are too many, InvalidArgument where the form around them is broken.
        """
        yield UploadDocumentRequest(
            spec=UploadSpec(
                collection=collection,
                name=self.name,
                metadata=dict(self.metadata),
                idempotency_key=self.idempotency_key,
            )
        )
        size = 0
        async for piece in self.pieces:
            size += len(piece)
            if size > self.max_bytes:
                raise _too_large(self.max_bytes)
            for start in range(0, len(piece), PIECE_BYTES):
                yield UploadDocumentRequest(data=piece[start : start + PIECE_BYTES])


async def upload_of(request: web.Request, max_bytes: int) -> Upload:
    """The document in a request: multipart with a `file`, or raw bytes with ?name=.

    Raises HttpProblem, InvalidArgument.
    """
    if request.content_length and request.content_length > max_bytes + METADATA_MAX_BYTES:
        raise _too_large(max_bytes)
    metadata = metadata_of(request.query.get("metadata", "{}"))
    key = _readable("Idempotency-Key", request.headers.get("Idempotency-Key", ""))
    if request.content_type.startswith("multipart/"):
        with _form():
            return await _multipart(await request.multipart(), metadata, max_bytes, key)
    if "name" not in request.query:
        raise InvalidArgument("raw bytes need a name: add ?name=FILE to the address", field="name")
    return Upload(request.query["name"], metadata, request.content.iter_chunked(PIECE_BYTES), max_bytes, key)


def metadata_of(content: str | bytes) -> Mapping[str, str]:
    """Metadata out of JSON. Raises InvalidArgument unless it is an object of strings."""
    try:
        return METADATA.validate_json(content)
    except ValidationError:
        raise InvalidArgument(
            'metadata must be a JSON object of strings, like {"team": "payments"}', field="metadata"
        ) from None


async def _multipart(reader: MultipartReader, metadata: Mapping[str, str], max_bytes: int, key: str) -> Upload:
    """Reads up to the file, which is left to be streamed."""
    async for part in reader:
        match part:
            case BodyPartReader(name="metadata"):
                metadata = metadata_of(await _short(part))
            case BodyPartReader(name="file", filename=str(filename)):
                return Upload(_readable("name", filename), metadata, _pieces(part, reader), max_bytes, key)
            case BodyPartReader(name="file"):
                raise InvalidArgument("the part `file` has no filename", field="name")
            case _:
                raise InvalidArgument("the form has another part: it may have `metadata`, then `file`")
    raise InvalidArgument("the form has no part named `file`", field="file")


def _readable(field: str, text: str) -> str:
    """A text out of a head. Raises InvalidArgument where its bytes were no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{field} is not UTF-8: send it in UTF-8", field=field) from None
    return text


async def _short(part: BodyPartReader) -> bytes:
    content = await part.read()
    if len(content) > METADATA_MAX_BYTES:
        raise InvalidArgument(f"the part `metadata` has more than {METADATA_MAX_BYTES} bytes", field="metadata")
    return bytes(content)


async def _pieces(part: BodyPartReader, reader: MultipartReader) -> AsyncGenerator[bytes, None]:
    """The file's bytes. A form that does not end right after them is refused, not believed."""
    with _form():
        while piece := await part.read_chunk(PIECE_BYTES):
            yield piece
        if await reader.next() is not None:
            raise InvalidArgument(
                "the form goes on after `file`: send `metadata` before it, and one file at a time", field="file"
            )


@contextmanager
def _form() -> Iterator[None]:
    """Says of a form that can't be read what is wrong with it."""
    try:
        yield
    except (ValueError, RuntimeError, BadHttpMessage) as error:  # aiohttp's reader raises all of them
        raise InvalidArgument(f"the form is broken: {error}") from None


def _too_large(max_bytes: int) -> HttpProblem:
    return HttpProblem(413, f"the upload is too large: at most {max_bytes / MIB:g} MiB are taken")
