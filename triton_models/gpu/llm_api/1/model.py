"""A language model by TensorRT-LLM's LLM API (its PyTorch backend, no engines), for Triton's Python backend.

One event loop writes all answers; TensorRT-LLM batches them in flight. A request for no tokens is answered at once:
it asks whether this process lives.
"""

import asyncio
import threading

import yaml
from answer import FINAL, Answer, Language, Question, Refused, folder_of, number_of, parameters_of, refuse, response
from tensorrt_llm import LLM, SamplingParams

LOOK_S = 0.1  # between two looks at who has left


class TritonPythonModel:
    """Triton calls initialize once, then execute for each request; answers go through the response sender."""

    def initialize(self, args):
        parameters, folder = parameters_of(args), folder_of(args)
        self.language = Language(folder, parameters)
        arguments = yaml.safe_load((folder / "arguments.yaml").read_text(encoding="utf-8"))
        self.llm = LLM(model=str(folder / "weights"), **arguments)
        self.places = threading.BoundedSemaphore(int(parameters["slots"]) + int(parameters["max_waiting"]))
        self.readers = {}  # the task that writes -> the sender of who reads
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="answers", daemon=True)
        self.thread.start()
        self.looking = asyncio.run_coroutine_threadsafe(self.look(), self.loop)

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.admit(request, sender)
            except Refused as refusal:
                refuse(sender, refusal.code, str(refusal))

    def admit(self, request, sender):
        if number_of(request, "max_tokens") < 1:
            sender.send(response("", "length", 0, 0), flags=FINAL)
            return
        question = Question.of(request, self.language)
        if not self.places.acquire(blocking=False):
            raise Refused("UNAVAILABLE", "the language model has no place for another answer")
        asyncio.run_coroutine_threadsafe(self.answer(sender, question), self.loop)

    async def answer(self, sender, question):
        self.readers[asyncio.current_task()] = sender
        try:
            await self.write(Answer(sender, question, self.language))
        except asyncio.CancelledError:
            refuse(sender, "CANCELLED", "the reader has left")
        except Exception as error:  # noqa: BLE001 a task's boundary: the caller must hear of it
            refuse(sender, "INTERNAL", f"the language model failed: {error}")
        finally:
            del self.readers[asyncio.current_task()]
            self.places.release()

    async def write(self, answer):
        generation = self.llm.generate_async(
            {"prompt_token_ids": answer.question.tokens}, self.sampling(answer.question), streaming=True
        )
        taken = 0
        try:
            async for output in generation:
                tokens = output.outputs[0].token_ids
                if answer.take(tokens[taken:]):
                    break
                taken = len(tokens)
        finally:
            if not generation.finished:  # a stop word, or the reader left
                generation.abort()
        answer.finish()

    def sampling(self, question):
        ends = self.language.end_ids
        return SamplingParams(
            max_tokens=question.max_tokens,
            end_id=ends[0],
            pad_id=ends[0],
            stop_token_ids=ends[1:] or None,
            detokenize=False,
            **question.sampling(),
        )

    async def look(self):
        """Ends the answers whose readers have left."""
        while True:
            await asyncio.sleep(LOOK_S)
            for task, sender in tuple(self.readers.items()):
                if sender.is_cancelled():
                    task.cancel()

    def finalize(self):
        asyncio.run_coroutine_threadsafe(self.end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.llm.shutdown()

    async def end(self):
        await asyncio.gather(*self.readers, return_exceptions=True)
        self.looking.cancel()
