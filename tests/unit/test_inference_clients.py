"""What the clients of Triton make of configurations, prompts, answers and failures."""

import grpc
import jinja2
import pytest
import tokenizers
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tritonclient.utils import InferenceServerException

from ragmesh.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, MeshError, Unavailable
from ragmesh.inference.generate import chat_template
from ragmesh.inference.manifest import ours
from ragmesh.inference.port import ModelId
from ragmesh.inference.sources import locate
from ragmesh.inference.tokens import Tokenizer
from ragmesh.inference.triton import from_triton, translated


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("StatusCode.UNAVAILABLE", "failed to connect", Unavailable),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceeded),
        ("StatusCode.INVALID_ARGUMENT", "text is not UTF-8", InvalidArgument),
        ("StatusCode.CANCELLED", "", Unavailable),
        ("StatusCode.FAILED_PRECONDITION", "is not ready", FailedPrecondition),
        ("StatusCode.INTERNAL", "Stub process 'embed_0_0' is not healthy.", Unavailable),
        ("StatusCode.NOT_FOUND", "Request for unknown model: 'llm' has no available versions", Unavailable),
        (
            None,
            "[request id: <id_unknown>] Server is stopping, scheduler for model has stopped accepting new requests",
            Unavailable,
        ),
        ("StatusCode.INTERNAL", "something else", Internal),
        (None, "UNAVAILABLE: the language model has no place for another answer", Unavailable),
        (None, "INVALID_ARG: the prompt is too long", InvalidArgument),
        (None, "in ensemble 'x': something else", Internal),
        (None, "", Internal),
    ],
)
def test_each_failure_of_triton_has_its_error(status: str | None, message: str, kind: type[MeshError]):
    assert type(from_triton(InferenceServerException(message, status))) is kind


def test_a_status_that_leads_a_message_is_taken_off_it():
    error = from_triton(InferenceServerException("INVALID_ARG: the prompt: far too long", None))

    assert error.message == "the prompt: far too long"


@given(st.text(), st.sampled_from([None, "", "StatusCode.UNKNOWN", "StatusCode.INTERNAL"]))
def test_any_message_becomes_an_error_of_ours(message: str, status: str | None):
    assert isinstance(from_triton(InferenceServerException(message, status)), MeshError)


def test_a_broken_stream_is_translated_too():
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details="Socket closed"
    )

    with pytest.raises(Unavailable, match="Socket closed"), translated():
        raise broken


def test_the_models_own_chat_template_is_followed():
    gguf = GGUFReader(locate(ours()[ModelId("smollm2-135m", "1")].weights))
    template = chat_template(str(gguf.fields["tokenizer.chat_template"].contents()))

    prompt = template.render(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        add_generation_prompt=True,
    )

    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_hostile_chat_template_gets_nowhere():
    template = chat_template("{{ messages.__class__.__mro__[1].__subclasses__() }}")

    with pytest.raises(jinja2.exceptions.SecurityError):
        template.render(messages=[])


def word_tokenizer() -> Tokenizer:
    """Tokens are words; padding and truncation are on, as packaged tokenizers have them."""
    tokenizer = tokenizers.Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # noqa: S106 no password
    tokenizer.pre_tokenizer = Whitespace()  # pyright: ignore[reportAttributeAccessIssue] a property without a type
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(4)
    return Tokenizer(tokenizer)


def test_tokens_are_told_in_code_points_without_padding_or_limit():
    tokens = word_tokenizer()

    assert tokens.offsets("été 𝒳 好") == [(0, 3), (4, 5), (6, 7)]
    assert tokens.count("a b c d e f") == 6


@given(st.text(max_size=200))
def test_tokens_are_in_order_and_inside_the_text(text: str):
    offsets = word_tokenizer().offsets(text)

    assert all(0 <= start <= end <= len(text) for start, end in offsets)
    assert offsets == sorted(offsets)


def test_a_missing_tokenizer_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="ragmesh models build"):
        Tokenizer.load(tmp_path)
