"""An embedder that costs next to nothing, so that the mesh around it is what a bench measures.

It is a real model of a real Triton, in the place of the real one: same configuration, same tensors, but a text's
vector is made from hashes of its words.
"""

import shutil
from pathlib import Path

from ragmesh.settings import Settings

MODEL = '''"""Texts to unit vectors by hashing their words: as cheap as Triton's own overhead."""

import zlib

import numpy as np
import triton_python_backend_utils as pb_utils

DIMS = 384


class TritonPythonModel:
    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        words = [text.split() for text in texts]
        vectors = np.zeros((len(texts), DIMS), np.float32)
        for row, found in enumerate(words):
            for word in found or [b""]:
                vectors[row, zlib.crc32(word) % DIMS] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        counts = np.array([[len(found)] for found in words], np.int32)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("embedding", vectors), pb_utils.Tensor("num_tokens", counts)]
        )
'''


def repository(settings: Settings, target: Path) -> Path:
    """A model repository in `target` like the real one, but with the embedder that costs nothing."""
    real = settings.models
    shutil.copytree(real, target, ignore=shutil.ignore_patterns("model.onnx", "*.gguf"))
    (target / settings.embedding / "1" / "model.py").write_text(MODEL, encoding="utf-8")
    (target / settings.llm_model / "1" / "model.gguf").symlink_to(real / settings.llm_model / "1" / "model.gguf")
    return target
