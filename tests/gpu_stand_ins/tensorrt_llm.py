"""In the place of TensorRT-LLM's LLM API: the calls that the front makes. Its answer is the prompt, slowly."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

STEP_S = 0.01
FAILING = 198  # the token of a BEL


@dataclass
class SamplingParams:
    """Those fields that the front sets: another one is an error, as it is in the real one."""

    max_tokens: int
    end_id: int
    pad_id: int
    stop_token_ids: list[int] | None = None
    detokenize: bool = True
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None


class LLM:
    def __init__(self, model, *, skip_tokenizer_init, max_seq_len, **arguments):
        assert skip_tokenizer_init
        assert arguments["backend"] == "pytorch"

    def generate_async(self, inputs, sampling_params, *, streaming):
        ends = sampling_params.stop_token_ids or [sampling_params.end_id]
        tokens = [*inputs["prompt_token_ids"][1:], ends[0]]
        return Generation(tokens[: sampling_params.max_tokens])

    def shutdown(self):
        pass


@dataclass
class Generation:
    tokens: list[int]
    written: list[int] = field(default_factory=list)
    finished: bool = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.finished:
            raise StopAsyncIteration
        await asyncio.sleep(STEP_S)
        if self.tokens[len(self.written)] == FAILING:
            raise RuntimeError("out of blocks")
        self.written.append(self.tokens[len(self.written)])
        self.finished = len(self.written) == len(self.tokens)
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=list(self.written))])

    def abort(self):
        self.finished = True
