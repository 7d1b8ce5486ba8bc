"""What a parser process does with a document: reads it and cuts it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ragmesh.inference.tokens import Tokenizer
from svc_document.chunking import ChunkedDocument, Measure, cut
from svc_document.parse.document import Source
from svc_document.parse.read import read

Work = Callable[[Source], ChunkedDocument]
Job = Callable[[], Work]  # is sent to the process; makes there, once, what it needs for every document


@dataclass(frozen=True, slots=True)
class ReadAndCut:
    """The job of ingestion."""

    embedder: Path  # in the model repository: its tokens are counted
    measure: Measure
    text_max_chars: int

    def __call__(self) -> Work:
        tokenizer = Tokenizer.load(self.embedder)

        def work(source: Source) -> ChunkedDocument:
            document = read(source, max_chars=self.text_max_chars)
            return cut(document, tokenizer, self.measure)

        return work
