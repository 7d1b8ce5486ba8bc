"""A language model's own tokens, for prompts that fill their room and no more.

The build packs the tokenizer into a parameter of the model's configuration, which Triton hands out to every client:
no client needs the weights' folder, and none asks the model for counts before it asks for an answer.

    tokens = Vocabulary(unpacked(parameters["tokenizer"]))
    tokens.count("How tall is the tower?")   # 6
"""

import base64
import lzma
import math
from collections.abc import Mapping

import tokenizers

from ragmesh.inference.port import Tokens

PARAMETER = "tokenizer"  # of a model's configuration; absent where the build had no tokenizer that it could trust


class Vocabulary:
    """Implements Tokens, exactly."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def count_prompt(self, text: str) -> int:
        return len(self._tokenizer.encode(text))

    def cut(self, text: str, most: int) -> str:
        places = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(places) <= most:
            return text
        while most > 0 and places[most][0] < places[most - 1][1]:  # inside of a character
            most -= 1
        return text[: places[most][0]] if most > 0 else ""


class Estimate:
    """Implements Tokens by a number of bytes for each, which is to be low: then prompts are rather too short."""

    def __init__(self, bytes_per_token: float) -> None:
        self._bytes_per_token = bytes_per_token

    def count(self, text: str) -> int:
        return math.ceil(len(text.encode()) / self._bytes_per_token)

    def count_prompt(self, text: str) -> int:
        return self.count(text) + 1  # what a text begins with

    def cut(self, text: str, most: int) -> str:
        return text.encode()[: max(0, int(most * self._bytes_per_token))].decode(errors="ignore")


def tokens_of(parameters: Mapping[str, str]) -> Tokens:
    """The tokens of the model with these parameters: its own, or an estimate where the build has left them out."""
    if packed := parameters.get(PARAMETER):
        return Vocabulary(unpacked(packed))
    return Estimate(float(parameters["bytes_per_token"]))


def packed(tokenizer_json: str) -> str:
    """A tokenizer.json as the value of a parameter: a third of its size."""
    return base64.b64encode(lzma.compress(tokenizer_json.encode())).decode()


def unpacked(value: str) -> tokenizers.Tokenizer:
    """The tokenizer in the value of a parameter."""
    return tokenizers.Tokenizer.from_str(lzma.decompress(base64.b64decode(value)).decode())
