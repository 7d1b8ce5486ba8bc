"""The tokenizer of a GGUF, as a tokenizer.json, if it says exactly what llama.cpp says.

A GGUF has the vocabulary and the merges, and only the name of how text is cut before they apply. The ways that are
known here are byte-level BPE's; whether one fits is not believed but tried: llama.cpp counts the same texts.
"""

import json
import secrets
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import xllamacpp
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors

CONTROL, USER_DEFINED = 3, 4  # types of tokens that text is cut at first
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTS = {  # llama.cpp's names of how a text is cut, and the expressions that cut it, one after the other
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "qwen2": (_LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),),
}
SAMPLES = (
    "The tower is 330 metres (1,083 ft) tall; it was completed on 31 March 1889.\n\nWho'll pay 3.14 €, and why?",
    "铁塔高三百三十米，于1889年3月31日建成。谁付了 3.14 欧元？\n资料：“附录二”",
    "  two  spaces,\ttabs\r\n\r\n\n# heading\n- list\n```py\nx = {'a': [1, 2]}\n```  ",
    "DON'T don't I'LL naïve Ünïcödé ½ ² ① ٣٤ 한국어 العربية हिन्दी 😀👩‍👧 \u3000全角　",
)


class Untrusted(ValueError):
    """The tokenizer would count otherwise than llama.cpp, or is of a kind that is not known here."""


def tokenizer_json(weights: Path) -> str:
    """The tokenizer of a GGUF. Raises Untrusted: then clients have to estimate."""
    fields = GGUFReader(weights).fields
    read = {name.removeprefix("tokenizer.ggml."): field for name, field in fields.items() if "tokenizer" in name}
    kind = str(read["model"].contents())
    way = str(read["pre"].contents()) if "pre" in read else ""
    if kind != "gpt2" or way not in CUTS:
        known = ", ".join(CUTS)
        raise Untrusted(
            f"{weights.name} has a tokenizer {kind}/{way}; known are those of gpt2 that cut like {known}"
        )
    made = _made(read, way)
    _require_agreement(made, weights)
    return made.to_str()


def _made(read: dict[str, Any], way: str) -> tokenizers.Tokenizer:
    tokens: list[str] = read["tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in read["merges"].contents()]
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)}, merges=merges, ignore_merges=way == "llama-bpe"
        )
    )
    cuts = [pre_tokenizers.Split(Regex(each), "isolated") for each in CUTS[way]]
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds: list[int] = read["token_type"].contents()
    made.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind in {CONTROL, USER_DEFINED}
        ]
    )
    if "add_bos_token" in read and read["add_bos_token"].contents():
        first = int(read["bos_token_id"].contents())
        made.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=[("<bos>", first)])
    return made


def _require_agreement(made: tokenizers.Tokenizer, weights: Path) -> None:
    for text, theirs in zip(SAMPLES, _by_llama(weights, SAMPLES), strict=True):
        if made.encode(text).ids != theirs:
            raise Untrusted(f"the tokenizer of {weights.name} is cut otherwise than its name says: {text[:40]!r}")


def _by_llama(weights: Path, texts: Sequence[str]) -> list[list[int]]:
    """What llama.cpp makes of these texts. Its server is the only way to ask, so it is started for a moment."""
    params = xllamacpp.CommonParams()  # pyright: ignore[reportAttributeAccessIssue] compiled, no stubs
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 256, 1, False, 0
    key = secrets.token_hex(16)
    params.api_keys = [key]
    server = xllamacpp.Server(params)  # pyright: ignore[reportAttributeAccessIssue] likewise
    try:
        return [_tokens(server.listening_address, key, text) for text in texts]
    finally:
        del server


def _tokens(address: str, key: str, text: str) -> list[int]:
    asked = urllib.request.Request(  # noqa: S310 our own loopback port
        f"{address}/tokenize",
        data=json.dumps({"content": text, "add_special": True, "parse_special": True}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 likewise
        return json.load(answer)["tokens"]
