"""A sentence embedder in ONNX, for Triton's Python backend: text [n, 1] -> embedding [n, dims], num_tokens [n, 1].

Who asks for them gets, of one text, token_vectors [1, m, 384] and token_sentences [1, m] too: what the embedding is
the mean of, without the prefix and what has no letter or digit, for comparing texts word by word.

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

SENTENCE_ENDS = frozenset(".!?。！？；")


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
        self.prefixes = [
            parameters[role].encode() for role in ("query_prefix", "passage_prefix") if parameters[role]
        ]
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
        counts = np.array([[len(encoding.ids)] for encoding in encodings], np.int32)
        outputs = [pb_utils.Tensor("num_tokens", counts)]
        if "token_vectors" not in request.requested_output_names():
            embeddings = np.concatenate([self.run(encoding, [self.output])[0] for encoding in encodings])
            return pb_utils.InferenceResponse([pb_utils.Tensor("embedding", embeddings), *outputs])
        if len(texts) != 1:
            return refusal("token_vectors are given of one text at a time")
        embedding, vectors = self.run(encodings[0], [self.output, "tokens"])
        places, sentences = words(encodings[0], texts[0].decode("utf-8"), self.prefix_length(texts[0]))
        outputs += [
            pb_utils.Tensor("embedding", embedding),
            pb_utils.Tensor("token_vectors", vectors[:, places].astype(np.float16)),
            pb_utils.Tensor("token_sentences", np.array([sentences], np.int32)),
        ]
        return pb_utils.InferenceResponse(outputs)

    def run(self, encoding, outputs):
        tokens = np.array([encoding.ids], np.int64)
        ones = np.ones_like(tokens)
        feed = {"input_ids": tokens, "attention_mask": ones, "token_type_ids": ones - 1}
        result, *others = self.session.run(outputs, {name: feed[name] for name in self.inputs})
        return [self.pooled(result.astype(np.float32)), *others]

    def prefix_length(self, text):
        return max((len(prefix) for prefix in self.prefixes if text.startswith(prefix)), default=0)


def words(encoding, text, start):
    """The places of the tokens that have a letter or digit, and for each how many sentences ended before it."""
    places, sentences, ended = [], [], 0
    for place, (first, last) in enumerate(encoding.offsets):
        piece = text[first:last]
        if last <= start:
            continue
        if any(char.isalnum() for char in piece):
            places.append(place)
            sentences.append(ended)
        elif any(char in SENTENCE_ENDS for char in piece):
            ended += 1
    return places, sentences


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
