"""Embedders and rerankers of Hugging Face's layout as modules of PyTorch: tokens in, vectors or scores out.

The body is in FP16; pooling, length and scores are in FP32, where half precision would show. Both the export to
ONNX (scripts/export_encoder.py) and the model that runs without one (model.py) are made of these.
"""

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer


class Embedder(torch.nn.Module):
    """Unit vectors, FP32 [n, dims]: the mean of the tokens' vectors, or the first one's."""

    output = "embedding"

    def __init__(self, body, pooling):
        super().__init__()
        self.body = body
        self.pooling = pooling

    @classmethod
    def load(cls, weights, pooling):
        body = AutoModel.from_pretrained(weights, dtype=torch.float16, attn_implementation="eager")
        return cls(body, pooling).eval()

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

    output = "score"

    def __init__(self, body, separator):
        super().__init__()
        self.body = body
        self.separator = separator  # None where the model does not tell question and text by token types

    @classmethod
    def load(cls, weights):
        body = AutoModelForSequenceClassification.from_pretrained(
            weights, dtype=torch.float16, attn_implementation="eager"
        )
        if body.config.num_labels != 1:
            raise ValueError(f"{weights} has {body.config.num_labels} labels: a reranker has one, the score")
        typed = getattr(body.config, "type_vocab_size", 1) > 1
        return cls(body, AutoTokenizer.from_pretrained(weights).sep_token_id if typed else None).eval()

    def forward(self, input_ids, attention_mask):
        types = {} if self.separator is None else {"token_type_ids": self.types(input_ids, attention_mask)}
        logits = self.body(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return torch.sigmoid(logits.float())

    def types(self, input_ids, attention_mask):
        """0 up to the first separator, 1 after it: what the tokenizer would say, made of the tokens."""
        separators = (input_ids == self.separator).long()
        return (separators.cumsum(1) - separators).clamp(max=1) * attention_mask
