"""What is uploaded: a file by its path, bytes, or a file that the caller has open."""

import asyncio
import io
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from ragmesh.errors import InvalidArgument
from ragmesh.v1 import UploadDocumentRequest, UploadSpec

PIECE_BYTES = 256 * 1024

Content = str | Path | bytes | BinaryIO  # a str is a path
Sent = Callable[[int], None]  # hears how many bytes have been sent so far


@dataclass(frozen=True, slots=True)
class Source:
    """Something to upload."""

    name: str
    size_bytes: int | None  # None for what can't be known before it has been read
    is_repeatable: bool  # it can be read a second time
    open: Callable[[], AbstractContextManager[BinaryIO]]

    @classmethod
    def of(cls, content: Content, name: str | None) -> Self:
        """Raises InvalidArgument for content without a name, and OSError for a file that is not there."""
        if isinstance(content, str | Path):
            path = Path(content)
            return cls(name or path.name, path.stat().st_size, is_repeatable=True, open=lambda: path.open("rb"))
        if isinstance(content, bytes):
            return cls(_required(name), len(content), is_repeatable=True, open=lambda: io.BytesIO(content))
        if isinstance(content, io.TextIOBase):
            raise InvalidArgument("a file to upload is opened in binary mode: open(path, 'rb')", field="content")
        return cls._of_file(content, name)

    @classmethod
    def _of_file(cls, file: BinaryIO, name: str | None) -> Self:
        """An open file from where it stands. It is the caller's, who closes it."""
        own = getattr(file, "name", None)
        named = _required(name or (os.path.basename(own) if isinstance(own, str) else None))  # noqa: PTH119 no path
        if not file.seekable():
            return cls(named, None, is_repeatable=False, open=lambda: nullcontext(file))
        start = file.tell()
        size = file.seek(0, io.SEEK_END) - start

        def rewound() -> AbstractContextManager[BinaryIO]:
            file.seek(start)
            return nullcontext(file)

        rewound()
        return cls(named, size, is_repeatable=True, open=rewound)


class Pieces:
    """The messages of one upload. What goes wrong on this side is kept: gRPC would call it a cancellation."""

    def __init__(self, spec: UploadSpec, file: BinaryIO, sent: Sent | None) -> None:
        self._spec = spec
        self._file = file
        self._sent = sent
        self._failure: Exception | None = None

    async def messages(self) -> AsyncGenerator[UploadDocumentRequest, None]:
        """First what it is, then its bytes."""
        yield UploadDocumentRequest(spec=self._spec)
        try:
            sent = 0
            while piece := await asyncio.to_thread(self._file.read, PIECE_BYTES):
                yield UploadDocumentRequest(data=piece)
                sent += len(piece)
                if self._sent:
                    self._sent(sent)
        except Exception as error:
            self._failure = error
            raise

    @contextmanager
    def own_failures(self) -> Iterator[None]:
        """Raises what failed here in the place of what the call then failed with."""
        try:
            yield
        except BaseException:
            if self._failure:
                raise self._failure from None
            raise


def _required(name: str | None) -> str:
    if not name:
        raise InvalidArgument("say by which name to keep it: name='notes.txt'", field="name")
    return name
