"""What both paths of the language model share: a request as it comes, an answer as it goes. It lies by model.py.

Tokens become text here and not in TensorRT-LLM, for two reasons: a character of three tokens must not be sent in
pieces, and a stop word must not be seen by the reader, wherever its tokens are cut.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class Refused(Exception):
    """A request that is not answered; its code is one of TritonError's."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Language:
    """The model's tokens, and how many of them it takes."""

    def __init__(self, folder, parameters):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.beginning = self.tokenizer.encode("").ids[:1]
        self.end_ids = [int(token) for token in parameters["end_ids"].split()]
        self.context_length = int(parameters["context_length"])

    def read(self, prompt):
        """The prompt's tokens. Some chat templates write the beginning themselves: it is never there twice."""
        ids = self.tokenizer.encode(prompt).ids
        return ids[1:] if self.beginning and ids[:2] == self.beginning * 2 else ids


@dataclass(frozen=True)
class Question:
    """A request, understood. Sampling values are None where the caller leaves them to the model."""

    tokens: list[int]
    max_tokens: int
    stop: tuple[str, ...]
    temperature: float | None
    top_p: float | None
    top_k: int | None
    repetition_penalty: float | None
    seed: int | None

    @classmethod
    def of(cls, request, language):
        """Raises Refused for a prompt that leaves no room for an answer."""
        tokens = language.read("".join(texts_of(request, "text_input")))
        room = language.context_length - len(tokens)
        if room < 1:
            raise Refused(
                "INVALID_ARG",
                f"the prompt has {len(tokens)} tokens, and the model takes {language.context_length}"
                " with the answer: shorten it",
            )
        return cls(
            tokens,
            max_tokens=min(number_of(request, "max_tokens"), room),
            stop=tuple(filter(None, texts_of(request, "stop_words"))),
            temperature=number_of(request, "temperature"),
            top_p=number_of(request, "top_p"),
            top_k=number_of(request, "top_k"),
            repetition_penalty=number_of(request, "repetition_penalty"),
            seed=number_of(request, "seed"),
        )

    def sampling(self):
        """How the next token is drawn. Temperature 0 is the likeliest one each time, which is top-k of 1."""
        if not self.temperature:
            drawn = {"top_k": 1}
        else:
            drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        drawn |= {"repetition_penalty": self.repetition_penalty, "seed": self.seed}
        return {name: value for name, value in drawn.items() if value is not None}


class StopWords:
    """Ends a text before the first stop word. What may be the beginning of one is held back until it is told."""

    def __init__(self, words):
        self.words = words
        self.held = ""
        self.met = False

    def let_pass(self, piece):
        text = self.held + piece
        found = [place for place in (text.find(word) for word in self.words) if place >= 0]
        self.met = bool(found)
        passed = text[: min(found)] if found else text[: len(text) - self.suspected(text)]
        self.held = "" if found else text[len(passed) :]
        return passed

    def suspected(self, text):
        """How many characters at the end begin a stop word."""
        longest = max(map(len, self.words), default=1) - 1
        lengths = range(min(longest, len(text)), 0, -1)
        return next((n for n in lengths if any(word.startswith(text[-n:]) for word in self.words)), 0)


class Answer:
    """One answer being written: tokens in, text out."""

    def __init__(self, sender, question, language):
        self.sender = sender
        self.question = question
        self.language = language
        self.characters = DecodeStream(skip_special_tokens=True)
        self.stop_words = StopWords(question.stop)
        self.tokens = 0
        self.ended = False

    def take(self, tokens):
        """Sends what the tokens say, as far as it is whole. Returns whether the answer is at its end."""
        text = ""
        for token in tokens:
            if token in self.language.end_ids:
                self.ended = True
                break
            self.tokens += 1
            text += self.characters.step(self.language.tokenizer, token) or ""
        self.write(self.stop_words.let_pass(text))
        self.ended = self.ended or self.stop_words.met
        return self.ended

    def write(self, text):
        if text:
            self.sender.send(self.response(text))

    def finish(self):
        """The last response has no text; it says why the answer ends, and what it cost."""
        self.write(self.stop_words.held)
        full = self.tokens >= self.question.max_tokens
        self.sender.send(self.response("", "length" if full and not self.ended else "stop"), flags=FINAL)

    def response(self, text, finish_reason=""):
        return response(text, finish_reason, len(self.question.tokens), self.tokens)


def response(text, finish_reason, prompt_tokens, tokens):
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor("text_output", np.array([[text.encode()]], np.object_)),
            pb_utils.Tensor("finish_reason", np.array([[finish_reason.encode()]], np.object_)),
            pb_utils.Tensor("num_input_tokens", np.array([[prompt_tokens]], np.int32)),
            pb_utils.Tensor("num_output_tokens", np.array([[tokens]], np.int32)),
        ]
    )


def parameters_of(args):
    config = json.loads(args["model_config"])
    return {name: value["string_value"] for name, value in config["parameters"].items()}


def folder_of(args):
    """The folder of this version."""
    return Path(args["model_repository"], args["model_version"])


def texts_of(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [text.decode("utf-8", "replace") for text in tensor.as_numpy().reshape(-1)] if tensor else []


def number_of(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return tensor.as_numpy().reshape(-1)[0].item() if tensor else None


def refuse(sender, code, message):
    """Ends a request with an error. Triton drops the status of errors on a stream: it leads the message too."""
    error = pb_utils.TritonError(f"{code}: {message}", getattr(pb_utils.TritonError, code))
    sender.send(pb_utils.InferenceResponse(error=error), flags=FINAL)
