"""In the place of TensorRT-LLM's backend: its tensors and its stop requests. Its answer is the prompt, slowly."""

import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
STEP_S = 0.01
FAILING = 198  # the token of a BEL


class TritonPythonModel:
    def initialize(self, args):
        self.running = set()

    def execute(self, requests):
        for request in requests:
            sender, number = request.get_response_sender(), request.request_id()
            if value(request, "stop"):
                self.running.discard(number)
                sender.send(flags=FINAL)
                continue
            self.running.add(number)
            tokens = values(request, "input_ids")[1:]
            ends = values(request, "stop_words_list")[:1] or values(request, "end_id")
            length = value(request, "request_output_len")
            threading.Thread(target=self.write, args=(sender, number, [*tokens, *ends][:length])).start()

    def write(self, sender, number, tokens):
        for token in tokens:
            time.sleep(STEP_S)
            if number not in self.running:
                break
            if token == FAILING:
                sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("out of blocks")), flags=FINAL)
                return
            sender.send(pb_utils.InferenceResponse([ids([[[token, -1]]]), length([[1]])]))
        self.running.discard(number)
        sender.send(flags=FINAL)


def ids(rows):
    return pb_utils.Tensor("output_ids", np.array(rows, np.int32))


def length(rows):
    return pb_utils.Tensor("sequence_length", np.array(rows, np.int32))


def values(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return tensor.as_numpy().reshape(-1).tolist() if tensor else []


def value(request, name):
    return next(iter(values(request, name)), None)
