"""A passage of a document: what ingestion makes, search finds and an answer cites."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage with everything that is needed to search, show and open it."""

    collection_id: str
    document_id: str
    generation: int  # of the document; grows with each reprocessing
    ordinal: int  # place within the generation, from 0
    document_name: str
    content_type: str
    page: int  # from 1; 0 where the format has no pages
    start: int  # first character in the extracted text, in code points
    end: int  # one past the last
    text: str
    headings: tuple[str, ...] = ()  # above the passage, outermost first
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    language: str = ""  # ISO 639-1; empty where it can't be told

    @property
    def chunk_id(self) -> str:
        """Deterministic, so that writing a chunk twice is writing it once."""
        return f"{self.document_id}:{self.generation}:{self.ordinal}"

    @property
    def titled(self) -> str:
        """Title, headings and text, as BM25 reads them: they often name what the passage is about.

        The embedder gets the text alone: titles cost multilingual-e5-small .005 MRR@10 on XQuAD.
        """
        return "\n".join((self.title, *self.headings, self.text))

    @property
    def title(self) -> str:
        """The document's name as words: no extension, no separators."""
        stem = self.document_name.rsplit(".", 1)[0] or self.document_name
        return stem.replace("_", " ").replace("-", " ").strip()
