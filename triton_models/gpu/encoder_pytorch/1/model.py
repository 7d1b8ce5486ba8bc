"""An encoder by PyTorch, for Triton's Python backend: so that the language models' container can serve one too.

What Triton's batcher has gathered goes through the model at once: the requests of a batch have one width.
"""

import json
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from encoder import Embedder, Reranker


class TritonPythonModel:
    """Triton calls initialize once, then execute with whatever its dynamic batcher has gathered."""

    def initialize(self, args):
        parameters = {
            name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        weights = Path(args["model_repository"], args["model_version"], "weights")
        on_gpu = args["model_instance_kind"] == "GPU"
        self.device = torch.device(f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu")
        embeds = parameters["role"] == "embed"
        model = Embedder.load(weights, parameters["pooling"]) if embeds else Reranker.load(weights)
        self.model = model.to(self.device)

    def execute(self, requests):
        inputs = [[rows_of(request, name) for request in requests] for name in ("input_ids", "attention_mask")]
        batch = [torch.from_numpy(np.concatenate(rows)).to(self.device) for rows in inputs]
        with torch.inference_mode():
            outputs = self.model(*batch).cpu().numpy()
        ends = np.cumsum([len(rows) for rows in inputs[0]])[:-1]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(self.model.output, rows)])
            for rows in np.split(outputs, ends)
        ]


def rows_of(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
