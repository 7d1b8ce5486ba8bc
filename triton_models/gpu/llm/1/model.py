"""A language model by TensorRT-LLM's engines, for Triton's Python backend: the front that clients ask.

It turns text into tokens, asks the engine (a Triton model of its own, NAME.engine) and turns tokens into text. The
engine batches in flight; here a thread for each slot waits for its tokens. A request for no tokens is answered at
once, however busy the slots are: it asks whether front and engine live.
"""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import triton_python_backend_utils as pb_utils
from answer import FINAL, Answer, Language, Question, Refused, folder_of, number_of, parameters_of, refuse, response

LOOK_S = 0.1  # between two looks at who has left
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
        slots = int(parameters["slots"])
        self.places = threading.BoundedSemaphore(slots + int(parameters["max_waiting"]))
        self.pool = ThreadPoolExecutor(slots, thread_name_prefix="answer")
        self.readers = Readers(self.engine)

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.admit(request, sender)
            except Refused as refusal:
                refuse(sender, refusal.code, str(refusal))

    def admit(self, request, sender):
        if number_of(request, "max_tokens") < 1:
            self.engine.require_ready()
            sender.send(response("", "length", 0, 0), flags=FINAL)
            return
        question = Question.of(request, self.language)
        if not self.places.acquire(blocking=False):
            raise Refused("UNAVAILABLE", "the language model has no place for another answer")
        self.pool.submit(self.answer, sender, question)

    def answer(self, sender, question):
        try:
            if self.write(Answer(sender, question, self.language)):
                refuse(sender, "CANCELLED", "the reader has left")
        except Refused as refusal:
            refuse(sender, refusal.code, str(refusal))
        except Exception as error:  # noqa: BLE001 a thread's boundary: the caller must hear of it
            refuse(sender, "INTERNAL", f"the language model failed: {error}")
        finally:
            self.places.release()

    def write(self, answer):
        """Writes the answer to its end. Returns whether its reader left before."""
        if answer.sender.is_cancelled():  # while it waited for a thread
            return True
        number = uuid.uuid4().hex
        with self.readers.watched(number, answer.sender) as reader:
            try:
                for tokens in self.engine.generate(number, answer.question):
                    if answer.ended or reader.left:
                        continue  # the engine has been told, and ends its stream
                    if answer.take(tokens):
                        self.engine.stop(number)
            except Refused:
                if not (answer.ended or reader.left):  # an engine may call a stopped generation a failed one
                    raise
        if not reader.left:
            answer.finish()
        return reader.left

    def finalize(self):
        self.pool.shutdown(wait=True)
        self.readers.close()


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
        """Lists of tokens as they are written. Raises Refused when the engine is away or fails."""
        self.require_ready()
        for reply in self.request(number, self.inputs(question)).exec(decoupled=True):
            if reply.has_error():
                raise Refused("UNAVAILABLE", f"the engine failed: {reply.error().message()}")
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


class Readers:
    """Those who wait for an answer. Whoever leaves ends a generation, also one that has not begun to write."""

    def __init__(self, engine):
        self.engine = engine
        self.lock = threading.Lock()
        self.waiting = set()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.look, name="readers", daemon=True)
        self.thread.start()

    def watched(self, number, sender):
        return Reader(self, number, sender)

    def look(self):
        while not self.closed.wait(LOOK_S):
            with self.lock:
                waiting = tuple(self.waiting)
            for reader in waiting:
                if reader.sender.is_cancelled():
                    reader.left = True
                    self.engine.stop(reader.number)  # again at each look: the first may come before the request

    def close(self):
        self.closed.set()
        self.thread.join()


class Reader:
    """One who waits, as long as the `with` lasts."""

    def __init__(self, readers, number, sender):
        self.readers = readers
        self.number = number
        self.sender = sender
        self.left = False

    def __enter__(self):
        with self.readers.lock:
            self.readers.waiting.add(self)
        return self

    def __exit__(self, *_):
        with self.readers.lock:
            self.readers.waiting.discard(self)


def tensor(name, values, kind):
    """A tensor of one row."""
    return pb_utils.Tensor(name, np.array([values], kind))


def tokens_of(reply):
    """What is new in a reply: its first beam, as far as it is filled."""
    ids = pb_utils.get_output_tensor_by_name(reply, "output_ids").as_numpy()[0, 0]
    length = pb_utils.get_output_tensor_by_name(reply, "sequence_length").as_numpy()[0, 0]
    return ids[:length].tolist()
