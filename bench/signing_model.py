"""Language models that sign every word with their version, and broken ones: what a bench of updates swaps.

They are real models of a real Triton, with the tensors of the real one. A sound one says again what it was asked,
word by word, each with its version; so an answer that two versions wrote would show it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig  # pyright: ignore[reportAttributeAccessIssue] generated, no stubs

from ragmesh.inference.manifest import TEMPLATES

SIGN = "~"  # between a word and the version
MODEL = '''"""Says again what it was asked, each word signed."""

import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
PACE_S = 0.01
WORDS = 40


class TritonPythonModel:
    def initialize(self, args):
        self.version = args["model_name"].partition("@")[2]
        {initialize}

    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.say, args=(request, request.get_response_sender())).start()

    def say(self, request, sender):
        prompt = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()[0, 0].decode()
        wanted = int(pb_utils.get_input_tensor_by_name(request, "max_tokens").as_numpy()[0, 0])
        words = self.words(prompt)[: min(wanted, WORDS)]
        try:
            {begin}
        except Exception as error:
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))), FINAL)
            return
        for word in words:
            sender.send(response(f"{{word}}{sign}{{self.version}} ", "", 0))
            time.sleep(PACE_S)
        sender.send(response("", "stop", len(words)), FINAL)

    def words(self, prompt):
        {words}


def response(text, reason, count):
    texts = [pb_utils.Tensor(name, np.array([[value.encode()]], np.object_))
             for name, value in (("text_output", text), ("finish_reason", reason))]
    counts = [pb_utils.Tensor(name, np.array([[count]], np.int32))
              for name in ("num_input_tokens", "num_output_tokens")]
    return pb_utils.InferenceResponse(texts + counts)
'''
SOUND = {"initialize": "pass", "begin": "pass", "words": "return prompt.split()", "sign": SIGN}
BROKEN: Mapping[str, Mapping[str, str]] = {
    "does not load": {"initialize": 'raise RuntimeError("the weights are truncated")'},
    "fails": {"begin": 'raise RuntimeError("a kernel failed") if wanted else None'},
    "says nothing": {"words": "return []"},
    "says something else": {"words": 'return ["lorem", "ipsum"]'},
    "is slow": {"begin": "time.sleep(3 if wanted else 0)"},
}

FAULTS = {
    **BROKEN,
    "fails later": {"begin": 'if len(prompt) > 300: raise RuntimeError("out of memory")'},  # golden ones are short
}


def add(repository: Path, name: str, fault: str = "") -> None:
    """Puts a version into a repository, with a fault of BROKEN, or "fails later", or a sound one."""
    target = repository / name
    shutil.rmtree(target, ignore_errors=True)
    (target / "1").mkdir(parents=True)
    parts = {**SOUND, **FAULTS.get(fault, {})}
    (target / "1" / "model.py").write_text(MODEL.format(**parts), encoding="utf-8")
    config = text_format.Parse((TEMPLATES / "cpu/llm/config.pbtxt").read_text(encoding="utf-8"), ModelConfig())
    config.name = name
    told = {
        "role": "llm",
        "weights": f"signing, {fault or 'sound'}",
        "languages": "en",
        "context_length": "2048",
        "bytes_per_token": "3",
        "chat_template": "{{ messages[-1].content }}",
    }
    for parameter, value in told.items():
        config.parameters[parameter].string_value = value
    (target / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
