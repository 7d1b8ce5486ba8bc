"""An upload on its way through the edge: read a piece, send a piece, hold nothing."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiohttp import BodyPartReader, MultipartReader, web
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

    async def messages(self, collection: str) -> AsyncIterator[UploadDocumentRequest]:
        """The upload as the contract wants it: the spec, then the bytes in pieces of at most 256 KiB."""
        yield UploadDocumentRequest(
            spec=UploadSpec(collection=collection, name=self.name, metadata=dict(self.metadata))
        )
        async for piece in self.pieces:
            for start in range(0, len(piece), PIECE_BYTES):
                yield UploadDocumentRequest(data=piece[start : start + PIECE_BYTES])


async def upload_of(request: web.Request, max_bytes: int) -> Upload:
    """The document in a request: multipart with a `file`, or raw bytes with ?name=.

    Raises HttpProblem, InvalidArgument.
    """
    if request.content_length and request.content_length > max_bytes + METADATA_MAX_BYTES:
        raise HttpProblem(
            413, f"the upload has {request.content_length} bytes; at most {max_bytes // MIB} MiB are taken"
        )
    metadata = metadata_of(request.query.get("metadata", "{}"))
    if request.content_type.startswith("multipart/"):
        return await _multipart(await request.multipart(), metadata)
    if "name" not in request.query:
        raise InvalidArgument("raw bytes need a name: add ?name=FILE to the address", field="name")
    return Upload(request.query["name"], metadata, request.content.iter_chunked(PIECE_BYTES))


async def _multipart(reader: MultipartReader, metadata: Mapping[str, str]) -> Upload:
    """Reads up to the file: fields before it are taken, so `metadata` must stand before `file`."""
    async for part in reader:
        if not isinstance(part, BodyPartReader):
            raise InvalidArgument("the form has a form inside: send `metadata` and `file` as plain parts")
        if part.name == "metadata":
            metadata = metadata_of(await _short_text(part))
        if part.name == "file":
            if not part.filename:
                raise InvalidArgument("the part `file` has no filename", field="name")
            return Upload(part.filename, metadata, _pieces(part))
    raise InvalidArgument("the form has no part named `file`", field="file")


async def _short_text(part: BodyPartReader) -> str:
    content = await part.read()
    if len(content) > METADATA_MAX_BYTES:
        raise InvalidArgument(f"the part `metadata` has more than {METADATA_MAX_BYTES} bytes", field="metadata")
    return content.decode("utf-8", "replace")


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(PIECE_BYTES):
        yield piece


def metadata_of(text: str) -> Mapping[str, str]:
    """Metadata out of JSON. Raises InvalidArgument unless it is an object of strings."""
    try:
        return METADATA.validate_json(text)
    except ValidationError:
        raise InvalidArgument(
            'metadata must be a JSON object of strings, like {"team": "payments"}', field="metadata"
        ) from None
