"""Exports an embedder or a reranker of Hugging Face's layout to ONNX: tokens in, vectors or scores out.

    python3 export_encoder.py embed --weights DIR --output model.onnx

Types are in the graph, FP16 and FP32, for TensorRT 11 takes them from nowhere else. Inputs are input_ids and
attention_mask, int64 [n, tokens]. It needs torch and transformers, which TensorRT-LLM's container has.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "encoder_pytorch" / "1"))
from encoder import Embedder, Reranker

INPUTS = ("input_ids", "attention_mask")


def main():
    parser = argparse.ArgumentParser(description="Exports an encoder to ONNX.")
    parser.add_argument("role", choices=["embed", "rerank"])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pooling", choices=["mean", "cls"], default="mean")
    parser.add_argument("--max-tokens", type=int, default=512)
    options = parser.parse_args()
    embeds = options.role == "embed"
    model = Embedder.load(options.weights, options.pooling) if embeds else Reranker.load(options.weights)
    longest = model.body.config.max_position_embeddings
    if options.max_tokens > longest:
        parser.error(f"--max-tokens is {options.max_tokens}, and the model takes {longest}")
    export(model, options.output)


def export(model, file):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    example = torch.ones((2, 16), dtype=torch.int64, device=device)
    torch.onnx.export(
        model.to(device),
        (example, example),
        str(file),
        input_names=list(INPUTS),
        output_names=[model.output],
        dynamic_axes={name: {0: "rows", 1: "tokens"} for name in INPUTS} | {model.output: {0: "rows"}},
        opset_version=18,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
