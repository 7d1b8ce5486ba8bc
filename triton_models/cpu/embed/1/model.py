"""A sentence embedder in ONNX, for Triton's Python backend: text [n, 1] -> embedding [n, dims], num_tokens [n, 1].

Texts run through the model one by one. On a CPU that is as fast as a batch for short texts and twice as fast for
long ones, which padding makes longer still; and the quantised model then gives a text the same vector in any
company, for its scales are taken over all that it sees at once.
"""

import json
import os
import select
import signal
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# What a model leaves to do: nothing, or to make one vector of those of all tokens. No text here is padded.
POOLINGS = {
    "none": lambda vectors: vectors,
    "mean": lambda vectors: unit(vectors.mean(axis=1)),
    "first": lambda vectors: unit(vectors[:, 0]),
}


class TritonPythonModel:
    """Triton calls initialize once, then execute with whatever its dynamic batcher has gathered."""

    def initialize(self, args):
        end_with_server()
        parameters = {
            name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        folder = Path(args["model_repository"], args["model_version"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(int(parameters["max_tokens"]))
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", session_options(int(parameters["threads"])), providers=["CPUExecutionProvider"]
        )
        self.inputs = {wanted.name for wanted in self.session.get_inputs()}
        self.output = parameters["output"]
        self.pooled = POOLINGS[parameters["pooling"]]

    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        try:
            encodings = self.tokenizer.encode_batch([text.decode("utf-8") for text in texts])
        except UnicodeDecodeError as error:
            return refusal(f"text is not UTF-8: {error}")
        embeddings = np.concatenate([self.embed(encoding.ids) for encoding in encodings])
        counts = np.array([[len(encoding.ids)] for encoding in encodings], np.int32)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("embedding", embeddings), pb_utils.Tensor("num_tokens", counts)]
        )

    def embed(self, ids):
        tokens = np.array([ids], np.int64)
        ones = np.ones_like(tokens)
        feed = {"input_ids": tokens, "attention_mask": ones, "token_type_ids": ones - 1}
        (result,) = self.session.run([self.output], {name: feed[name] for name in self.inputs})
        return self.pooled(result.astype(np.float32))


def end_with_server():
    """Ends this process when the server dies: a killed server leaves its models running for ever."""
    server = os.pidfd_open(os.getppid())

    def wait():
        select.select([server], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def session_options(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the other processes' time on a small machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def refusal(message):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG))
