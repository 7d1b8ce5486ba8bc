"""A repository for GPUs, laid out from a tokenizer of bytes and from files that stand in for weights.

`lay_out` makes a version of each kind as the build scripts do; `without_gpu` puts stand-ins in the place of what
needs a GPU (tests/gpu_stand_ins), so that the real Triton serves the rest on a CPU.
"""

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from triton_models.gpu import layout
from triton_models.gpu.layout import Batches, Memory, Version

STAND_INS = Path(__file__).parent / "gpu_stand_ins"
ENGINE, API, EMBEDDER, RERANKER = "llama-3.1-8b@1", "llama-3.1-8b@2", "e5-large@1", "bge-m3@1"
CHAT_TEMPLATE = """{%- for message in messages %}
{{ '<|' ~ message.role ~ '|>\\n' ~ message.content ~ '</s>' }}
{%- endfor %}{{ "<|assistant|>\\n" }}$${brackets} \\ "quotes" 引号"""
SLOTS, WAITING, CONTEXT = 4, 4, 256
DIMS, MAX_TOKENS = 3, 48


def write_tokenizer(folder: Path) -> Path:
    """A token for each byte, three special ones, and what Hugging Face keeps beside them."""
    folder.mkdir()
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, "<|end|>": 2} | {letter: 3 + place for place, letter in enumerate(bytes_)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<|end|>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A </s> $B", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"chat_template": CHAT_TEMPLATE, "pad_token": {"content": "</s>"}})
    write(folder / "generation_config.json", {"eos_token_id": [1, 2]})
    return folder


def write_engine(folder: Path, *, gpus: int = 1) -> Path:
    """What trtllm-build leaves, without the engine's bytes."""
    folder.mkdir()
    built = {"max_batch_size": SLOTS, "max_seq_len": CONTEXT}
    write(
        folder / "config.json",
        {"pretrained_config": {"mapping": {"world_size": gpus, "tp_size": gpus}}, "build_config": built},
    )
    return folder


def write(file: Path, values: object) -> None:
    file.write_text(json.dumps(values), encoding="utf-8")


def version(model: str, repository: Path, tokenizer: Path, title: str = "weights of bytes") -> Version:
    return Version(model, repository, tokenizer, title)


def lay_out(folder: Path) -> Path:
    """A repository with a version of each kind."""
    repository, tokenizer = folder / "models", write_tokenizer(folder / "tokenizer")
    memory, batches = Memory(max_waiting=WAITING), Batches(max_tokens=MAX_TOKENS)
    weights = folder / "weights"
    weights.mkdir()
    write(weights / "config.json", {})
    plan = folder / "model.plan"
    plan.write_bytes(b"a plan")
    layout.lay_out_engine(
        version(ENGINE, repository, tokenizer),
        memory,
        engine=write_engine(folder / "engine"),
        gpus=("0",),
        mount="/models",
    )
    layout.lay_out_api(
        version(API, repository, tokenizer), memory, weights=weights, slots=SLOTS, context_length=CONTEXT
    )
    layout.lay_out_embedder(
        version(EMBEDDER, repository, tokenizer),
        batches,
        encoder=plan,
        dims=DIMS,
        query_prefix="query: ",
        passage_prefix="passage: ",
    )
    layout.lay_out_reranker(version(RERANKER, repository, tokenizer), batches, encoder=plan)
    return repository


def without_gpu(repository: Path) -> None:
    """Puts stand-ins in the place of what needs a GPU."""
    shutil.copy(STAND_INS / "tensorrt_llm.py", repository / API / "1")
    for part, code in (
        (f"{ENGINE}.engine", "engine"),
        *((f"{m}.encoder", "encoder") for m in (EMBEDDER, RERANKER)),
    ):
        shutil.copy(STAND_INS / f"{code}.py", repository / part / "1" / "model.py")
        config = repository / part / "config.pbtxt"
        text = config.read_text(encoding="utf-8")
        for backend in ("tensorrtllm", "tensorrt"):
            text = text.replace(f'backend: "{backend}"', 'backend: "python"')
        config.write_text(text.replace("kind: KIND_GPU count: 2 gpus: [ 0 ]", "kind: KIND_CPU"), encoding="utf-8")
