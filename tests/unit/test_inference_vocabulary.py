"""A model's own tokens: exactly, from what its repository tells, or by an estimate that is never too low."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ragmesh.inference import manifest, sources
from ragmesh.inference.port import ModelId
from ragmesh.inference.vocabulary import Estimate, Vocabulary, packed, tokens_of, unpacked
from ragmesh.inference.weights import gguf_vocabulary
from ragmesh.inference.weights.gguf_vocabulary import Untrusted, tokenizer_json

text = st.text(st.sampled_from("aBe é.!?。”\n3塔高<|>/[]s 😀") | st.characters(codec="utf-8"), max_size=60)


@pytest.fixture(scope="module")
def weights():
    return sources.locate(manifest.ours()[ModelId("smollm2-135m", "1")].weights)


@pytest.fixture(scope="module")
def tokenizer(weights) -> str:
    return tokenizer_json(weights)


@pytest.fixture(scope="module")
def vocabulary(tokenizer) -> Vocabulary:
    return Vocabulary(unpacked(packed(tokenizer)))


def test_the_embedded_model_counts_what_llama_cpp_counts(tokenizer, weights):
    texts = ("<|im_start|>user\nHow tall is it?<|im_end|>\n", "铁塔高330米。", "   \n\n\t naïve 12345 😀")

    made = Tokenizer.from_str(tokenizer)

    assert [made.encode(text).ids for text in texts] == gguf_vocabulary._by_llama(weights, texts)


def test_a_tokenizer_that_cuts_otherwise_than_the_model_is_not_trusted(weights, monkeypatch):
    monkeypatch.setitem(gguf_vocabulary.CUTS, "smollm", gguf_vocabulary.CUTS["gpt-2"])

    with pytest.raises(Untrusted, match="cut otherwise"):
        tokenizer_json(weights)


def test_a_tokenizer_of_an_unknown_kind_is_not_trusted(weights, monkeypatch):
    monkeypatch.delitem(gguf_vocabulary.CUTS, "smollm")

    with pytest.raises(Untrusted, match="smollm"):
        tokenizer_json(weights)


@given(text, st.integers(0, 30))
def test_a_cut_text_begins_like_the_text_and_fits(vocabulary: Vocabulary, text: str, most: int):
    for tokens in (vocabulary, Estimate(2.5)):
        part = tokens.cut(text, most)

        assert text.startswith(part)
        assert tokens.count(part) <= most
        assert tokens.cut(text, tokens.count(text)) == text


def test_tokens_of_the_chat_template_count_as_one_each(vocabulary):
    assert vocabulary.count("<|im_start|><|im_end|>") == 2


def test_a_model_without_a_tokenizer_is_counted_by_its_bytes():
    tokens = tokens_of({"bytes_per_token": "1.5"})

    assert tokens.count("铁塔") == 4
    assert tokens.cut("铁塔", 2) == "铁"
