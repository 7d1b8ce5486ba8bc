"""What a version's clients must know of its tokenizer, read from the files beside the weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from triton_models.gpu.errors import CannotLayOut

# Of each language some bytes make a token; a tokenizer that does not know the language makes each byte one.
SAMPLES = {
    "en": "Passes are renewed at the front desk, between nine and five, on every working day of the week.",
    "zh": "通行证在前台续期，每个工作日九点到五点之间均可办理，请携带有效的身份证件。",
}
MARGIN = 0.8  # of what the samples show: budgets are kept with a low estimate


def chat_template(folder: Path) -> str:
    """The model's own template: a file of its own, or in tokenizer_config.json, where there may be several."""
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    found = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        found = {entry["name"]: entry["template"] for entry in found}.get("default")
    if not found:
        raise CannotLayOut(f"{folder} has no chat template: take the instruct version of the model")
    return found


def end_ids(folder: Path) -> list[int]:
    """The tokens that end an answer, of which instruct models have several."""
    found = read_json(folder / "generation_config.json").get("eos_token_id")
    if found is None or found == []:
        raise CannotLayOut(f"{folder}/generation_config.json has no eos_token_id: answers would have no end")
    return found if isinstance(found, list) else [found]


def pad_id(folder: Path) -> int:
    """What fills a row up. The mask hides it: it only has to be in the vocabulary."""
    token = read_json(folder / "tokenizer_config.json").get("pad_token")
    name = token["content"] if isinstance(token, dict) else token
    found = load(folder).token_to_id(name) if name else None
    if found is None:
        raise CannotLayOut(f"{folder}/tokenizer_config.json has no pad_token of the vocabulary")
    return found


def bytes_per_token(folder: Path, languages: Sequence[str]) -> float:
    """How few bytes of text make a token in any of the languages: a low estimate, for budgets."""
    if not languages or any(language not in SAMPLES for language in languages):
        raise CannotLayOut(f"languages are of {' '.join(SAMPLES)}, and here {' '.join(languages) or 'none'}")
    tokenizer = load(folder)
    texts = [SAMPLES[language] for language in languages]
    tokens = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    return round(MARGIN * min(len(text.encode()) / count for text, count in zip(texts, tokens, strict=True)), 2)


def load(folder: Path) -> Tokenizer:
    """The tokenizer itself."""
    return Tokenizer.from_file(str(require(folder / "tokenizer.json")))


def read_json(file: Path) -> dict[str, Any]:
    """An object in a file."""
    return json.loads(require(file).read_text(encoding="utf-8"))


def require(path: Path) -> Path:
    """The file or folder, which is there."""
    if not path.exists():
        raise CannotLayOut(f"{path} is not there")
    return path
