"""A language model by llama.cpp, for Triton's Python backend: decoupled, several answers at once, cancellable.

llama.cpp batches the running answers continuously over its slots; a thread for each slot hands tokens to Triton. A
request ends with an empty text, the finish reason, the token counts and the final flag. A request for no tokens is
answered at once, however busy the slots are: it asks whether this process lives.
"""

import json
import os
import secrets
import select
import signal
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
import xllamacpp

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
PROMPT_CACHE_MIB = 256  # llama.cpp would take 8 GiB
PROMPT_STEP = 128  # tokens of a prompt read between two looks at who has left; fewer are slower
SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repeat_penalty",
    "seed": "seed",
}


class TritonPythonModel:
    """Triton calls initialize once, then execute for each request; answers go through the response sender."""

    def initialize(self, args):
        end_with_server()
        parameters = {
            name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        folder = Path(args["model_repository"], args["model_version"])
        slots = int(parameters["slots"])
        self.context_length = int(parameters["context_length"])
        self.server = start_llama(folder / "model.gguf", slots, self.context_length, int(parameters["threads"]))
        self.places = threading.BoundedSemaphore(slots + int(parameters["max_waiting"]))
        self.pool = ThreadPoolExecutor(slots, thread_name_prefix="generation")
        self.metrics = Metrics()

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            completion = completion_of(request)
            if completion["max_tokens"] < 1:
                Generation(sender, self.metrics).finish()
                continue
            if not self.places.acquire(blocking=False):
                refuse(sender, "the language model has no place for another answer", "UNAVAILABLE")
                continue
            self.pool.submit(self.generate, sender, completion)

    def generate(self, sender, completion):
        self.metrics.active.add(1)
        generation = Generation(sender, self.metrics)
        try:
            if not sender.is_cancelled():  # it may have been given up while it waited for a thread
                self.server.handle_completions(completion, generation.take)
            generation.finish()
        except Exception as error:  # noqa: BLE001 a thread's boundary: the caller must hear of it
            refuse(sender, f"the language model failed: {error}", "INTERNAL")
        finally:
            self.metrics.active.add(-1)
            self.places.release()

    def finalize(self):
        self.pool.shutdown(wait=True)
        del self.server


class Generation:
    """One answer being written."""

    def __init__(self, sender, metrics):
        self.sender = sender
        self.metrics = metrics
        self.prompt_tokens = 0
        self.tokens = 0
        self.finish_reason = ""
        self.error = None

    def take(self, chunks):
        """llama.cpp calls this with each step of the prompt and each piece; True stops it and frees its slot."""
        for chunk in chunks if isinstance(chunks, list) else [chunks]:
            if self.sender.is_cancelled():
                return True
            if "choices" not in chunk:
                self.error = chunk.get("error", chunk)
                return True
            self.send(chunk)
        return False

    def send(self, chunk):
        usage = chunk.get("usage") or {}
        self.prompt_tokens = usage.get("prompt_tokens", self.prompt_tokens)
        for choice in chunk["choices"]:
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        text = "".join(choice.get("text") or "" for choice in chunk["choices"])
        if text:
            self.tokens += 1
            self.metrics.tokens.add(1)
            self.sender.send(self.response(text))
        self.tokens = usage.get("completion_tokens", self.tokens)

    def finish(self):
        if self.sender.is_cancelled():
            self.metrics.cancelled.add(1)
            refuse(self.sender, "cancelled", "CANCELLED")
        elif self.error:
            message = (
                self.error.get("message", str(self.error)) if isinstance(self.error, dict) else str(self.error)
            )
            refuse(self.sender, f"the language model refused the prompt: {message}", "INVALID_ARG")
        else:
            self.finish_reason = self.finish_reason or "stop"
            self.sender.send(self.response(""), flags=FINAL)

    def response(self, text):
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("text_output", np.array([[text.encode()]], np.object_)),
                pb_utils.Tensor("finish_reason", np.array([[self.finish_reason.encode()]], np.object_)),
                pb_utils.Tensor("num_input_tokens", np.array([[self.prompt_tokens]], np.int32)),
                pb_utils.Tensor("num_output_tokens", np.array([[self.tokens]], np.int32)),
            ]
        )


class Metrics:
    """Counters on Triton's own metrics page."""

    def __init__(self):
        counter, gauge = pb_utils.MetricFamily.COUNTER, pb_utils.MetricFamily.GAUGE
        self.tokens = Metric("ragmesh_llm_tokens_total", "Tokens written", counter)
        self.cancelled = Metric("ragmesh_llm_cancelled_total", "Answers stopped because their reader left", counter)
        self.active = Metric("ragmesh_llm_active", "Answers being written", gauge)
        self.active.metric.set(0)  # the metric is the server's, and has the count of a process that died before


class Metric:
    """One number. Its family must live as long: Triton forgets a metric whose family is gone.

    All share a lock: two threads that speak to the server of metrics at once crash it.
    """

    lock = threading.Lock()

    def __init__(self, name, description, kind):
        self.family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self.metric = self.family.Metric(labels={})

    def add(self, amount):
        with self.lock:
            self.metric.increment(amount)


def end_with_server():
    """Ends this process when the server dies: a killed server leaves its models running for ever."""
    server = os.pidfd_open(os.getppid())

    def wait():
        select.select([server], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def completion_of(request):
    """The request as llama.cpp's completion endpoint takes it."""
    completion = {
        "prompt": text_of(request, "text_input")[0],
        "max_tokens": number_of(request, "max_tokens"),
        "stop": text_of(request, "stop_words"),
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
        "return_progress": True,
    }
    options = {theirs: number_of(request, ours) for ours, theirs in SAMPLING.items()}
    return completion | {name: value for name, value in options.items() if value is not None}


def text_of(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [text.decode("utf-8", "replace") for text in tensor.as_numpy().reshape(-1)] if tensor else []


def number_of(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return tensor.as_numpy().reshape(-1)[0].item() if tensor else None


def refuse(sender, message, code):
    """Ends a request with an error. Triton drops the status of errors on a stream: it leads the message too."""
    error = pb_utils.TritonError(f"{code}: {message}", getattr(pb_utils.TritonError, code))
    sender.send(pb_utils.InferenceResponse(error=error), flags=FINAL)


def start_llama(model, slots, context_length, threads):
    """llama.cpp's server, in this process. The HTTP port that it always opens is locked with a key of its own."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = slots
    params.n_ctx = slots * context_length  # over all slots
    params.n_batch = params.n_ubatch = PROMPT_STEP
    params.cont_batching = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.verbosity = 0
    params.api_keys = [secrets.token_hex(16)]
    server = xllamacpp.Server(params)
    require_locked(server.listening_address)
    return server


def require_locked(address):
    try:
        urllib.request.urlopen(f"{address}/props", timeout=5)  # noqa: S310 our own loopback port
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return
    raise RuntimeError(f"{address} answers without a key: this xllamacpp does not lock its port")
