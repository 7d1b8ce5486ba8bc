"""Exports an embedder or a reranker of Hugging Face's layout to ONNX: tokens in, vectors or scores out.

    python3 export_encoder.py embed --weights DIR --output model.onnx --report report.json

The body is in FP16, for TensorRT 11 takes types from the graph alone; pooling, length and scores are in FP32, where
half precision would show. Inputs are input_ids and attention_mask, int64 [n, tokens]. It needs torch and
transformers, which TensorRT-LLM's container has.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

INPUTS = ("input_ids", "attention_mask")


class Embedder(torch.nn.Module):
    """Unit vectors, FP32 [n, dims]: the mean of the tokens' vectors, or the first one's."""

    def __init__(self, body, pooling):
        super().__init__()
        self.body = body
        self.pooling = pooling

    def forward(self, input_ids, attention_mask):
        states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        if self.pooling == "cls":
            vectors = states[:, 0]
        else:
            weights = attention_mask.unsqueeze(-1).float()
            vectors = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        return torch.nn.functional.normalize(vectors, dim=-1)


class Reranker(torch.nn.Module):
    """Scores from 0 to 1, FP32 [n, 1]."""

    def __init__(self, body, separator):
        super().__init__()
        self.body = body
        self.separator = separator  # None where the model does not tell question and text by token types

    def forward(self, input_ids, attention_mask):
        types = {} if self.separator is None else {"token_type_ids": self.types(input_ids, attention_mask)}
        logits = self.body(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return torch.sigmoid(logits.float())

    def types(self, input_ids, attention_mask):
        """0 up to the first separator, 1 after it: what the tokenizer would say, made in the graph."""
        separators = (input_ids == self.separator).long()
        return (separators.cumsum(1) - separators).clamp(max=1) * attention_mask


def main():
    parser = argparse.ArgumentParser(description="Exports an encoder to ONNX.")
    parser.add_argument("role", choices=["embed", "rerank"])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--pooling", choices=["mean", "cls"], default="mean")
    parser.add_argument("--max-tokens", type=int, default=512)
    options = parser.parse_args()
    model, output = (embedder if options.role == "embed" else reranker)(options)
    longest = model.body.config.max_position_embeddings
    if options.max_tokens > longest:
        parser.error(f"--max-tokens is {options.max_tokens}, and the model takes {longest}")
    export(model.eval(), output, options.output)
    options.report.write_text(json.dumps({"dims": model.body.config.hidden_size}), encoding="utf-8")


def embedder(options):
    body = AutoModel.from_pretrained(options.weights, dtype=torch.float16, attn_implementation="eager")
    return Embedder(body, options.pooling), "embedding"


def reranker(options):
    body = AutoModelForSequenceClassification.from_pretrained(
        options.weights, dtype=torch.float16, attn_implementation="eager"
    )
    if body.config.num_labels != 1:
        raise SystemExit(f"{options.weights} has {body.config.num_labels} labels: a reranker has one, the score")
    typed = getattr(body.config, "type_vocab_size", 1) > 1
    separator = AutoTokenizer.from_pretrained(options.weights).sep_token_id if typed else None
    return Reranker(body, separator), "score"


def export(model, output, file):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    example = torch.ones((2, 16), dtype=torch.int64, device=device)
    torch.onnx.export(
        model.to(device),
        (example, example),
        str(file),
        input_names=list(INPUTS),
        output_names=[output],
        dynamic_axes={name: {0: "rows", 1: "tokens"} for name in INPUTS} | {output: {0: "rows"}},
        opset_version=18,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
