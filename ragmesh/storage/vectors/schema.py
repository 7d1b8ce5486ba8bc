"""The Milvus collection that holds chunks: its fields, its indexes, and how a chunk becomes a row and back."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from ragmesh.chunk import Chunk
from ragmesh.errors import InvalidArgument
from ragmesh.language import language_of

VARCHAR_MAX_BYTES = 65_535
JSON_MAX_BYTES = 65_536
HEADINGS_MAX = 10  # that many of that length fit into a JSON field, whatever they hold
HEADING_MAX_BYTES = 1024

WORDS = "titled"  # the field that BM25 reads
LANGUAGE = "language"  # collections of older versions have no such field
LANGUAGE_MAX_BYTES = 16

READ_FIELDS = [
    "collection_id",
    "document_id",
    "generation",
    "ordinal",
    "document_name",
    "content_type",
    "page",
    "start",
    "end",
    "text",
    "headings",
    "metadata",
    LANGUAGE,
]

# Jieba cuts Chinese into words and leaves the words of other scripts whole. "exact" counts each character once: on
# XQuAD it is better than "search", which also counts the parts of compounds.
ANALYZER = {"tokenizer": {"type": "jieba", "mode": "exact"}}

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")

Row = Mapping[str, Any]  # as pymilvus takes and gives it


def collection_name(model: str, version: str) -> str:
    """One Milvus collection for each version of an embedding model."""
    return _NOT_IN_NAMES.sub("_", f"chunks_{model}_{version}")


def schema(dims: int, *, bm25: bool) -> CollectionSchema:
    """Fields of a chunk, its vector, and where the server knows BM25, the words that it counts."""
    fields = MilvusClient.create_schema(enable_dynamic_field=False)
    fields.add_field("chunk_id", DataType.VARCHAR, is_primary=True, max_length=128)
    fields.add_field("collection_id", DataType.VARCHAR, is_partition_key=True, max_length=64)
    fields.add_field("document_id", DataType.VARCHAR, max_length=64)
    fields.add_field("document_name", DataType.VARCHAR, max_length=4 * 255)
    fields.add_field("content_type", DataType.VARCHAR, max_length=255)
    for number in ("generation", "ordinal", "page", "start", "end"):
        fields.add_field(number, DataType.INT64)
    fields.add_field("text", DataType.VARCHAR, max_length=VARCHAR_MAX_BYTES)
    fields.add_field(LANGUAGE, DataType.VARCHAR, max_length=LANGUAGE_MAX_BYTES)
    fields.add_field("headings", DataType.JSON)
    fields.add_field("metadata", DataType.JSON)
    fields.add_field("dense", DataType.FLOAT_VECTOR, dim=dims)
    if bm25:
        _add_words(fields)
    return fields


def indexes(*, bm25: bool) -> IndexParams:
    """How the vectors are searched."""
    params = MilvusClient.prepare_index_params()
    params.add_index("dense", index_type="AUTOINDEX", metric_type="COSINE")
    if bm25:
        params.add_index(
            "sparse",
            index_type="SPARSE_INVERTED_INDEX",
            metric_type="BM25",
            params={"bm25_k1": 1.2, "bm25_b": 0.75},
        )
    return params


def _add_words(fields: CollectionSchema) -> None:
    fields.add_field(
        WORDS,
        DataType.VARCHAR,
        max_length=VARCHAR_MAX_BYTES,
        enable_analyzer=True,
        analyzer_params=ANALYZER,
    )
    fields.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    fields.add_function(Function("words", FunctionType.BM25, [WORDS], ["sparse"]))


def row_of(chunk: Chunk, vector: NDArray[np.float32], *, bm25: bool, language: bool = True) -> dict[str, Any]:
    """A chunk as it is written. Raises InvalidArgument when Milvus could not hold it.

    `language`: whether the collection has a field for it.
    """
    _check_size("its text", chunk.text, VARCHAR_MAX_BYTES)
    _check_size("its metadata", json.dumps(dict(chunk.metadata), ensure_ascii=False), JSON_MAX_BYTES)
    words = {WORDS: _cut(chunk.titled, VARCHAR_MAX_BYTES)} if bm25 else {}
    told = {LANGUAGE: chunk.language} if language else {}
    return (
        words
        | told
        | {
            "chunk_id": chunk.chunk_id,
            "collection_id": chunk.collection_id,
            "document_id": chunk.document_id,
            "document_name": chunk.document_name,
            "content_type": chunk.content_type,
            "generation": chunk.generation,
            "ordinal": chunk.ordinal,
            "page": chunk.page,
            "start": chunk.start,
            "end": chunk.end,
            "text": chunk.text,
            "headings": {"path": _fitting(chunk.headings)},  # Milvus 2.3 takes objects only
            "metadata": dict(chunk.metadata),
            "dense": vector,
        }
    )


def chunk_of(row: Row) -> Chunk:
    """A chunk as it was written, from those of READ_FIELDS that its collection has."""
    fields: dict[str, Any] = {field: row[field] for field in READ_FIELDS if field in row}
    if LANGUAGE not in fields:
        fields[LANGUAGE] = language_of(row["text"])
    fields["headings"] = tuple(fields["headings"]["path"])
    return Chunk(**fields)


def _check_size(what: str, value: str, limit: int) -> None:
    size = len(value.encode())
    if size > limit:
        raise InvalidArgument(f"a chunk cannot be indexed: {what} takes {size:,} bytes, at most {limit:,} fit")


def _fitting(headings: Sequence[str]) -> list[str]:
    return [_cut(heading, HEADING_MAX_BYTES) for heading in headings[-HEADINGS_MAX:]]


def _cut(text: str, limit: int) -> str:
    """As much as fits. Of the words that BM25 reads, long headings may push out the last."""
    return text.encode()[:limit].decode(errors="ignore")
