"""A BERT-like sentence encoder as an ONNX graph: weights in numpy, no torch.

Inputs `input_ids`, `attention_mask` int64 (batch, tokens); outputs `tokens` float32 (batch, tokens, hidden), and
`embedding` float32 (batch, hidden), their mean, of unit length. Attention, layer norms and GELU are onnxruntime's
fused operators.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

Floats = NDArray[np.float32]

MICROSOFT = "com.microsoft"
OPSET, IR_VERSION = 17, 9


@dataclass(frozen=True, slots=True)
class Affine:
    """weight (in, out) and bias (out,); for a layer norm both (hidden,)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer, norms after the residuals."""

    qkv: Affine  # query, key and value side by side: (hidden, 3 hidden)
    attention_out: Affine
    attention_norm: Affine
    up: Affine
    down: Affine
    norm: Affine


@dataclass(frozen=True, slots=True)
class PlainWords:
    """A word table as it is, float32 (vocabulary, hidden)."""

    table: Floats


@dataclass(frozen=True, slots=True)
class PackedWords:
    """A word table in 4 bits: each block of 32 values has a scale, value = (nibble - 8) * scale."""

    nibbles: NDArray[np.uint8]  # (vocabulary, blocks, 16); the low nibbles are values 0-15, the high ones 16-31
    scales: NDArray[np.float16]  # (vocabulary, blocks, 1)


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """Everything of an encoder."""

    words: PlainWords | PackedWords
    positions: Floats  # (longest input, hidden), the embedding of token type 0 included
    norm: Affine
    layers: Sequence[Layer]
    heads: int
    epsilon: float

    @property
    def hidden(self) -> int:
        return self.positions.shape[1]


def write_encoder(weights: EncoderWeights, path: Path) -> None:
    """Writes the float graph."""
    onnx.save(_Graph().encoder(weights), path)


def write_quantized(source: Path, target: Path, *, words: bool, reduce_range: bool) -> None:
    """Writes a copy with int8 weights and activations quantised as they come.

    `words` quantises the word table too. `reduce_range` takes 7 bits for the weights: on CPUs without VNNI the
    8-bit products saturate.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # onnxruntime recommends steps that these fused graphs don't need
    try:
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=reduce_range,
            op_types_to_quantize=["MatMul", "Attention", *(["Gather"] if words else [])],
            extra_options={"DefaultTensorType": TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
    finally:
        logging.disable(disabled)


class _Graph:
    """Nodes and constants under construction. Each method returns the name of what it computes."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def encoder(self, weights: EncoderWeights) -> Any:
        mask = self._node("Cast", "attention_mask", to=TensorProto.INT32)
        hidden = self._embeddings(weights)
        for layer in weights.layers:
            hidden = self._layer(hidden, mask, layer, weights)
        self._nodes.append(helper.make_node("LpNormalization", [self._mean(hidden)], ["embedding"], axis=-1, p=2))
        self._nodes.append(helper.make_node("Identity", [hidden], ["tokens"]))
        return self._model(weights.hidden)

    def _embeddings(self, weights: EncoderWeights) -> str:
        words = self._words(weights.words, weights.hidden)
        length = self._node("Shape", "input_ids", start=1, end=2)
        zero = self._constant(np.array([0], np.int64))
        positions = self._node("Slice", self._constant(weights.positions), zero, length, zero)
        return self._norm(self._node("Add", words, positions), weights.norm, weights.epsilon)

    def _words(self, words: PlainWords | PackedWords, hidden: int) -> str:
        if isinstance(words, PlainWords):
            return self._node("Gather", self._constant(words.table), "input_ids")
        packed = self._node("Gather", self._constant(words.nibbles), "input_ids")
        both = self._node("Cast", packed, to=TensorProto.FLOAT)
        high = self._node("Floor", self._node("Mul", both, self._scalar(1 / 16)))
        low = self._node("Sub", both, self._node("Mul", high, self._scalar(16)))
        values = self._node("Sub", self._node("Concat", low, high, axis=-1), self._scalar(8))
        scales = self._node("Gather", self._constant(words.scales), "input_ids")
        scaled = self._node("Mul", values, self._node("Cast", scales, to=TensorProto.FLOAT))
        return self._node("Reshape", scaled, self._constant(np.array([0, 0, hidden], np.int64)))

    def _layer(self, hidden: str, mask: str, layer: Layer, weights: EncoderWeights) -> str:
        attended = self._fused(
            "Attention", hidden, *self._affine(layer.qkv), mask, num_heads=weights.heads
        )  # fmt: skip
        kept = self._residual(attended, hidden, layer.attention_out, layer.attention_norm, weights.epsilon)
        up_weight, up_bias = self._affine(layer.up)
        raised = self._fused("BiasGelu", self._node("MatMul", kept, up_weight), up_bias)
        return self._residual(raised, kept, layer.down, layer.norm, weights.epsilon)

    def _residual(self, value: str, skipped: str, out: Affine, norm: Affine, epsilon: float) -> str:
        weight, bias = self._affine(out)
        projected = self._node("MatMul", value, weight)
        return self._fused(
            "SkipLayerNormalization", projected, skipped, *self._affine(norm), bias, epsilon=epsilon
        )  # fmt: skip

    def _norm(self, value: str, norm: Affine, epsilon: float) -> str:
        return self._node("LayerNormalization", value, *self._affine(norm), axis=-1, epsilon=epsilon)

    def _mean(self, hidden: str) -> str:
        axis = self._constant(np.array([1], np.int64))
        mask = self._node("Cast", "attention_mask", to=TensorProto.FLOAT)
        total = self._node("MatMul", self._node("Unsqueeze", mask, axis), hidden)
        return self._node(
            "Div", self._node("Squeeze", total, axis), self._node("ReduceSum", mask, axis, keepdims=1)
        )

    def _affine(self, affine: Affine) -> tuple[str, str]:
        return self._constant(affine.weight), self._constant(affine.bias)

    def _scalar(self, value: float) -> str:
        return self._constant(np.float32(value))

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _fused(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._node(operator, *inputs, domain=MICROSOFT, **attributes)

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def _model(self, hidden: int) -> Any:
        ids, mask = (
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        )
        outputs = [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", hidden]),
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "tokens", hidden]),
        ]
        graph = helper.make_graph(self._nodes, "encoder", [ids, mask], outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
