"""Texts, or pairs of question and text, to tokens, for Triton's Python backend: the first step of both encoders.

Triton batches requests of equal shapes only. So a request is padded to the next of a few widths, not to its own
length: questions then meet in batches, and so do passages, and the encoder sees few shapes.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

NARROWEST = 16  # tokens; each width is twice the one before, up to what the model takes


class TritonPythonModel:
    """Triton calls initialize once, then execute with whatever its dynamic batcher has gathered."""

    def initialize(self, args):
        parameters = {
            name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        self.max_tokens = int(parameters["max_tokens"])
        self.pad_id = int(parameters["pad_id"])
        folder = Path(args["model_repository"], args["model_version"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)

    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        try:
            texts, queries = strings(request, "text"), strings(request, "query")
        except UnicodeDecodeError as error:
            return refusal(f"the text is not UTF-8: {error}")
        encodings = self.tokenizer.encode_batch(list(zip(queries, texts, strict=True)) if queries else texts)
        counts = [len(encoding.ids) for encoding in encodings]
        shape = (len(encodings), self.width(max(counts)))
        ids, mask = np.full(shape, self.pad_id, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : counts[row]] = encoding.ids
            mask[row, : counts[row]] = 1
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("input_ids", ids),
                pb_utils.Tensor("attention_mask", mask),
                pb_utils.Tensor("num_tokens", np.array(counts, np.int32).reshape(-1, 1)),
            ]
        )

    def width(self, tokens):
        width = NARROWEST
        while width < tokens:
            width *= 2
        return min(width, self.max_tokens)


def strings(request, name):
    """A text for each row; empty where the model has no such input."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [text.decode("utf-8") for text in tensor.as_numpy().reshape(-1)] if tensor else []


def refusal(message):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG))
