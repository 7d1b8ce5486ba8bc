"""A language model by TensorRT-LLM's engines, for Triton's Python backend: the front that clients ask.

It turns text into tokens, asks the engine (a Triton model of its own, NAME.engine) and turns tokens into text. The
engine batches in flight; here a thread for each answer waits for its tokens. A request for no tokens is answered at
once, however busy the engine is: it asks whether front and engine live.
"""

import threading
import time
import uuid

import numpy as np
import triton_python_backend_utils as pb_utils
from answer import FINAL, Answer, Language, Question, Refused, folder_of, number_of, parameters_of, refuse, response

LOOK_S = 0.1  # between two looks at who has left
SILENCE_S = 60.0  # without a token, until an answer is given up
SAMPLING = {
    "temperature": ("temperature", np.float32),
    "top_p": ("runtime_top_p", np.float32),
    "top_k": ("runtime_top_k", np.int32),
    "repetition_penalty": ("repetition_penalty", np.float32),
    "seed": ("seed", np.uint64),
}


class TritonPythonModel:
    """Triton calls initialize once, then execute for each request; answers go through the response sender."""

    def initialize(self, args):
        parameters = parameters_of(args)
        self.language = Language(folder_of(args), parameters)
        self.engine = Engine(f"{args['model_name']}.engine", self.language.end_ids)
        self.engine.load()
        # All of them are the engine's at once: it has its slots, and its own queue for the rest.
        self.places = threading.BoundedSemaphore(int(parameters["slots"]) + int(parameters["max_waiting"]))
        self.watch = Watch()

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.admit(request, sender)
            except Refused as refusal:
                refuse(sender, refusal.code, str(refusal))

    def admit(self, request, sender):
        self.engine.require_ready()
        if number_of(request, "max_tokens") < 1:
            sender.send(response("", "length", 0, 0), flags=FINAL)
            return
        question = Question.of(request, self.language)
        if not self.places.acquire(blocking=False):
            raise Refused("UNAVAILABLE", "the language model has no place for another answer")
        generation = Generation(Answer(sender, question, self.language), self.engine, self.places)
        self.watch.add(generation)
        generation.thread.start()

    def finalize(self):
        self.watch.close()


class Generation:
    """One answer being written. Its thread waits inside of Triton, where nothing wakes it but the engine."""

    def __init__(self, answer, engine, places):
        self.answer = answer
        self.engine = engine
        self.places = places
        self.number = uuid.uuid4().hex
        self.thread = threading.Thread(target=self.run, name=self.number, daemon=True)
        self.heard = time.monotonic()
        self.lock = threading.Lock()
        self.over = False  # for the reader: it has its last response

    def run(self):
        try:
            self.write()
        except Exception as error:  # noqa: BLE001 a thread's boundary: the caller must hear of it
            if self.answer.ended:  # an engine may call a generation failed that was told to stop
                self.end(self.answer.finish)
            else:
                self.refuse("UNAVAILABLE", str(error))

    def write(self):
        for tokens in self.engine.generate(self.number, self.answer.question):
            self.heard = time.monotonic()
            if self.over or self.answer.ended or self.answer.take(tokens):
                self.engine.stop(self.number)  # again with each that still comes: the first may come too early
        self.end(self.answer.finish)

    def look(self):
        """What another thread does now and then: an answer that nobody waits for, or that never comes, is ended."""
        if self.answer.sender.is_cancelled():
            self.engine.stop(self.number)
            self.refuse("CANCELLED", "the reader has left")
        elif time.monotonic() - self.heard > SILENCE_S:
            # Triton loses errors that come after the first tokens: then the engine is done, and the thread is lost.
            self.engine.stop(self.number)
            self.refuse("UNAVAILABLE", f"the engine has said nothing for {SILENCE_S:.0f} s")

    def refuse(self, code, message):
        self.end(lambda: refuse(self.answer.sender, code, message))

    def end(self, last):
        """Sends the last response, once, and gives the place to another."""
        with self.lock:
            if self.over:
                return
            self.over = True
        try:
            last()
        finally:
            self.places.release()


class Watch:
    """Looks after the answers that are being written."""

    def __init__(self):
        self.generations = set()
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.run, name="watch", daemon=True)
        self.thread.start()

    def add(self, generation):
        with self.lock:
            self.generations.add(generation)

    def run(self):
        while not self.closed.wait(LOOK_S):
            with self.lock:
                self.generations = {generation for generation in self.generations if not generation.over}
                running = tuple(self.generations)
            for generation in running:
                generation.look()

    def close(self):
        self.closed.set()
        self.thread.join()


class Engine:
    """The Triton model with the engines, asked from inside the server."""

    def __init__(self, name, end_ids):
        self.name = name
        self.end_ids = end_ids

    def load(self):
        """Loads the engine with its front. Triton allows it once it is started: serve.py loads nothing before."""
        if not pb_utils.is_model_ready(self.name):
            pb_utils.load_model(self.name)

    def require_ready(self):
        if not pb_utils.is_model_ready(self.name):
            raise Refused("UNAVAILABLE", f"{self.name} is not loaded")

    def generate(self, number, question):
        """Lists of tokens as they are written. Raises EngineFailed."""
        for reply in self.request(number, self.inputs(question)).exec(decoupled=True):
            if reply.has_error():
                raise EngineFailed(f"the engine failed: {reply.error().message()}")
            if reply.output_tensors():
                yield tokens_of(reply)

    def inputs(self, question):
        inputs = [
            tensor("input_ids", question.tokens, np.int32),
            tensor("input_lengths", [len(question.tokens)], np.int32),
            tensor("request_output_len", [question.max_tokens], np.int32),
            tensor("end_id", self.end_ids[:1], np.int32),
            tensor("pad_id", self.end_ids[:1], np.int32),
            tensor("streaming", [True], np.bool_),
        ]
        for name, value in question.sampling().items():
            theirs, kind = SAMPLING[name]
            inputs.append(tensor(theirs, [value], kind))
        if len(self.end_ids) > 1:
            inputs.append(self.more_ends())
        return inputs

    def more_ends(self):
        """The end tokens after the first, as words of one token each: a row of tokens, a row of where each ends."""
        ends = self.end_ids[1:]
        return tensor("stop_words_list", [ends, list(range(1, len(ends) + 1))], np.int32)

    def stop(self, number):
        """Ends a generation. One that has ended by itself is no error to the engine."""
        inputs = [
            tensor("input_ids", [0], np.int32),
            tensor("input_lengths", [0], np.int32),
            tensor("request_output_len", [0], np.int32),
            tensor("stop", [True], np.bool_),
        ]
        for _ in self.request(number, inputs).exec(decoupled=True):
            pass

    def request(self, number, inputs):
        return pb_utils.InferenceRequest(
            model_name=self.name,
            request_id=number,
            inputs=inputs,
            requested_output_names=["output_ids", "sequence_length"],
        )


class EngineFailed(RuntimeError):
    """What the engine says of a generation that it could not write."""


def tensor(name, values, kind):
    """A tensor of one row."""
    return pb_utils.Tensor(name, np.array([values], kind))


def tokens_of(reply):
    """What is new in a reply: its first beam, as far as it is filled."""
    ids = pb_utils.get_output_tensor_by_name(reply, "output_ids").as_numpy()[0, 0]
    length = pb_utils.get_output_tensor_by_name(reply, "sequence_length").as_numpy()[0, 0]
    return ids[:length].tolist()
