"""Lays out a version of a model for GPUs.

    python3 -m triton_models.gpu engine llama-3.1-8b@1 --engine DIR --tokenizer DIR --repository DIR --title TEXT
    python3 -m triton_models.gpu api llama-3.1-8b@2 --weights DIR --tokenizer DIR --repository DIR --title TEXT
    python3 -m triton_models.gpu embed e5-large@1 --encoder FILE --dims 1024 ...
    python3 -m triton_models.gpu rerank bge-m3@1 --encoder FILE ...

It needs Python 3.11 and tokenizers, no GPU. The build scripts run it in the containers of versions.env.
"""

import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from pathlib import Path

from triton_models.gpu import layout
from triton_models.gpu.errors import CannotLayOut
from triton_models.gpu.layout import Batches, Memory, Version
from triton_models.gpu.render import UnfitValues


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    version = Version(
        options.model, options.repository, options.tokenizer, options.title, tuple(options.languages.split())
    )
    try:
        LAY_OUT[options.kind](version, options)
    except (CannotLayOut, UnfitValues) as error:
        print(f"layout: {error}", file=sys.stderr)
        return 1
    print(f"{version.model} is in {version.repository}")
    return 0


def _engine(version: Version, options: Namespace) -> None:
    gpus = tuple(options.gpus.split(","))
    layout.lay_out_engine(version, _memory(options), engine=options.engine, gpus=gpus, mount=options.mount)


def _api(version: Version, options: Namespace) -> None:
    layout.lay_out_api(
        version,
        _memory(options),
        weights=options.weights,
        tensor_parallel=options.tensor_parallel,
        slots=options.slots,
        context_length=options.context_length,
        max_num_tokens=options.max_num_tokens,
    )


def _embed(version: Version, options: Namespace) -> None:
    layout.lay_out_embedder(
        version,
        _batches(options),
        encoder=options.encoder,
        dims=options.dims,
        query_prefix=options.query_prefix,
        passage_prefix=options.passage_prefix,
    )


def _rerank(version: Version, options: Namespace) -> None:
    layout.lay_out_reranker(version, _batches(options), encoder=options.encoder)


LAY_OUT = {"engine": _engine, "api": _api, "embed": _embed, "rerank": _rerank}


def _memory(options: Namespace) -> Memory:
    return Memory(options.kv_cache_fraction, options.kv_cache_host_bytes, options.max_waiting)


def _batches(options: Namespace) -> Batches:
    return Batches(
        options.max_tokens,
        options.max_batch,
        options.queue_delay_us,
        options.instances,
        options.gpu,
        options.pooling,
    )


def _parser() -> ArgumentParser:
    common = ArgumentParser(add_help=False)
    common.add_argument("model", help="NAME@VERSION")
    common.add_argument("--repository", type=Path, required=True, help="the model repository, as seen from here")
    common.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json and its configs")
    common.add_argument("--title", required=True, help="what people call the weights")
    common.add_argument("--languages", default="en zh", help="ISO 639-1")
    llm = ArgumentParser(add_help=False, parents=[common])
    llm.add_argument("--max-waiting", type=int, default=32, help="answers that wait for a slot")
    llm.add_argument("--kv-cache-fraction", type=float, default=0.85, help="of the GPU's memory beside weights")
    llm.add_argument("--kv-cache-host-bytes", type=int, default=0, help="of main memory, for more blocks")
    encoder = ArgumentParser(add_help=False, parents=[common])
    encoder.add_argument(
        "--encoder", type=Path, required=True, help="model.plan, model.onnx, or a folder of Hugging Face"
    )
    encoder.add_argument("--max-tokens", type=int, default=512, help="that the model takes")
    encoder.add_argument("--max-batch", type=int, default=32, help="rows, as the plan was built for")
    encoder.add_argument("--queue-delay-us", type=int, default=500, help="waiting for a fuller batch")
    encoder.add_argument("--instances", type=int, default=2, help="on the GPU")
    encoder.add_argument("--gpu", type=int, default=0, help="its number")
    encoder.add_argument("--pooling", choices=["mean", "cls"], default="mean", help="of an embedder by PyTorch")

    command = ArgumentParser(prog="python3 -m triton_models.gpu", description="Lays out a version of a model.")
    kinds = command.add_subparsers(required=True, dest="kind")

    def kind(name: str, parent: ArgumentParser, text: str) -> ArgumentParser:
        return kinds.add_parser(name, parents=[parent], help=text, formatter_class=ArgumentDefaultsHelpFormatter)

    engine = kind("engine", llm, "a language model by TensorRT-LLM's engines")
    engine.add_argument("--engine", type=Path, required=True, help="what trtllm-build wrote")
    engine.add_argument("--gpus", default="0", help="their numbers, with commas: one for each rank")
    engine.add_argument("--mount", default="/models", help="where Triton sees the repository")
    api = kind("api", llm, "a language model by TensorRT-LLM's LLM API")
    api.add_argument("--weights", type=Path, required=True, help="a checkpoint in Hugging Face's layout")
    api.add_argument("--tensor-parallel", type=int, default=1, help="GPUs for each layer")
    api.add_argument("--slots", type=int, default=64, help="answers at once")
    api.add_argument("--context-length", type=int, default=8192, help="tokens, prompt and answer together")
    api.add_argument("--max-num-tokens", type=int, default=8192, help="tokens in one step")
    embed = kind("embed", encoder, "an embedder")
    embed.add_argument("--dims", type=int, required=True, help="of its vectors")
    embed.add_argument("--query-prefix", default="", help="before each question")
    embed.add_argument("--passage-prefix", default="", help="before each passage")
    kind("rerank", encoder, "a reranker")
    return command


if __name__ == "__main__":
    sys.exit(main())
