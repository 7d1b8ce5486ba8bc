"""The embedder's own tokens, for cutting texts to its measure."""

from pathlib import Path
from typing import Self

import tokenizers


class Tokenizer:
    """Counts and locates tokens, without special tokens and without a limit."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, embedder: Path) -> Self:
        """Reads the tokenizer of a model in the repository. Raises FileNotFoundError where it is not built."""
        file = embedder / "1" / "tokenizer.json"
        if not file.exists():
            raise FileNotFoundError(f"{file} is not there: build the models with `ragmesh models build`")
        return cls(tokenizers.Tokenizer.from_file(str(file)))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in the text, in code points."""
        return self._tokenizer.encode(text, add_special_tokens=False).offsets

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))
