"""The parts of the GPU repository that need no GPU, on the real Triton; stand-ins for those that do."""

import asyncio
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from ragmesh.inference import preflight, server
from tests.gpu_repository import API, CONTEXT, EMBEDDER, ENGINE, RERANKER, SLOTS, WAITING, lay_out, without_gpu
from tests.milvus_server import free_port

GPU = Path(__file__).parents[2] / "triton_models" / "gpu"
SERVE, UNLOAD = GPU / "serve.py", GPU / "scripts" / "unload.sh"
BEL = "\x07"  # on which the stand-ins fail
BOTH = pytest.mark.parametrize("model", [ENGINE, API])
TYPES = {"BYTES": np.object_, "INT32": np.int32, "FP32": np.float32, "UINT64": np.uint64}


@dataclass(frozen=True)
class Answered:
    """What a stream said."""

    pieces: list[str]
    finish_reason: str
    prompt_tokens: int
    tokens: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class GpuTriton:
    """Triton with the repository's models, started by the entrypoint of its containers."""

    def __init__(self, client: InferenceServerClient, http: str) -> None:
        self.client = client
        self.http = http

    def stream(self, model: str, text: str, **inputs):
        inputs = {"max_tokens": 100} | inputs
        sent = [tensor("text_input", "BYTES", [text.encode()])]
        kinds = {"stop_words": "BYTES", "temperature": "FP32", "top_p": "FP32", "seed": "UINT64"}
        for name, value in inputs.items():
            sent.append(tensor(name, kinds.get(name, "INT32"), value if isinstance(value, list) else [value]))

        async def once():
            yield {"model_name": model, "inputs": sent, "enable_empty_final_response": True}

        return self.client.stream_infer(once(), stream_timeout=30)

    async def answer(self, model: str, text: str, **inputs) -> Answered:
        pieces: list[str] = []
        async for result, error in self.stream(model, text, **inputs):
            if error:
                raise error
            pieces.append(result.as_numpy("text_output")[0, 0].decode())
            last = result
        counts = (int(last.as_numpy(name)[0, 0]) for name in ("num_input_tokens", "num_output_tokens"))
        return Answered(pieces, last.as_numpy("finish_reason")[0, 0].decode(), *counts)

    async def ready(self) -> set[str]:
        index = await self.client.get_model_repository_index()
        return {model.name for model in index.models if model.state == "READY"}

    async def infer(self, model: str, **texts: list[str]):
        sent = [
            tensor(name, "BYTES", [[text.encode()] for text in values], rows=len(values))
            for name, values in texts.items()
        ]
        return await self.client.infer(model, sent, client_timeout=30)


def tensor(name: str, kind: str, values: list, rows: int = 1) -> InferInput:
    array = np.array(values, TYPES[kind]).reshape(rows, -1)
    sent = InferInput(name, list(array.shape), kind)
    sent.set_data_from_numpy(array)
    return sent


@pytest_asyncio.fixture(scope="module")
async def triton(tmp_path_factory) -> AsyncIterator[GpuTriton]:
    folder = tmp_path_factory.mktemp("gpu")
    repository = lay_out(folder)
    without_gpu(repository)
    shorten_silence(repository / ENGINE / "1" / "model.py")
    installed = preflight.installation()
    backends = server.lay_out_backends(installed, folder / "backends")
    grpc, http = free_port(), f"127.0.0.1:{free_port()}"
    region = f"gpu_{grpc}_"
    command = [
        *(sys.executable, SERVE, "--http", http),
        *(word for model in (ENGINE, API, EMBEDDER, RERANKER) for word in ("--load", model)),
        *("--", installed.root / "bin" / "tritonserver", f"--model-repository={repository}"),
        *("--model-control-mode=explicit", "--disable-auto-complete-config", "--strict-readiness=false"),
        "--exit-timeout-secs=10",
        *(f"--backend-directory={backends}", f"--backend-config=python,shm-region-prefix-name={region}"),
        *("--http-address=127.0.0.1", f"--http-port={http.rpartition(':')[2]}"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={grpc}", "--allow-metrics=false"),
    ]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=server.environment(installed), stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    reading = asyncio.create_task(until(process, f"{RERANKER} loaded"))
    try:
        await asyncio.wait_for(reading, 60)
        draining = asyncio.create_task(until(process, "no line says this"))
        async with InferenceServerClient(f"127.0.0.1:{grpc}") as client:
            yield GpuTriton(client, http)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)
        await draining
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.remove_regions(region)
        shutil.rmtree(folder)


def shorten_silence(front: Path) -> None:
    """A front that waits a second where it would wait a minute."""
    code = front.read_text(encoding="utf-8")
    assert "SILENCE_S = 60.0" in code
    front.write_text(code.replace("SILENCE_S = 60.0", "SILENCE_S = 1.0"), encoding="utf-8")


async def until(process: asyncio.subprocess.Process, words: str) -> None:
    """Reads the log up to a line with these words, or to its end."""
    log = []
    assert process.stdout
    async for line in process.stdout:
        log.append(line.decode(errors="replace"))
        if words in log[-1]:
            return
    assert process.returncode is None or words == "no line says this", "".join(log[-40:])


@BOTH
async def test_characters_of_several_tokens_arrive_whole(triton, model):
    answered = await triton.answer(model, "通行证 for 北京")

    assert answered.text == "通行证 for 北京"
    assert all("�" not in piece for piece in answered.pieces)
    assert answered.finish_reason == "stop"
    assert (answered.prompt_tokens, answered.tokens) == (21, 20)  # a token for each byte, and the beginning


@BOTH
async def test_an_answer_ends_at_its_length(triton, model):
    answered = await triton.answer(model, "one two three", max_tokens=7)

    assert (answered.text, answered.finish_reason, answered.tokens) == ("one two", "length", 7)


@BOTH
async def test_a_stop_word_ends_an_answer_and_is_never_seen(triton, model):
    answered = await triton.answer(model, "one STO two STOP three", stop_words=[b"STOP", b"zzz"])

    assert (answered.text, answered.finish_reason) == ("one STO two ", "stop")


@BOTH
async def test_what_only_began_like_a_stop_word_is_told_at_the_end(triton, model):
    assert (await triton.answer(model, "one two STO", stop_words=[b"STOP"])).text == "one two STO"


@BOTH
async def test_special_tokens_are_no_text(triton, model):
    assert (await triton.answer(model, "a<|end|>b")).text == "a"


@BOTH
async def test_the_beginning_is_never_there_twice(triton, model):
    assert (await triton.answer(model, "<s>ab")).prompt_tokens == 3


@BOTH
async def test_sampling_reaches_the_model(triton, model):
    answered = await triton.answer(model, "drawn", temperature=0.7, top_p=0.9, seed=2**40, top_k=5)

    assert answered.text == "drawn"


@BOTH
async def test_a_prompt_that_leaves_no_room_is_refused(triton, model):
    with pytest.raises(InferenceServerException, match=rf"INVALID_ARG: .* {CONTEXT + 1} tokens"):
        await triton.answer(model, "x" * CONTEXT)


@BOTH
async def test_an_answer_gets_the_room_that_the_prompt_leaves(triton, model):
    answered = await triton.answer(model, "x" * 200, max_tokens=500)

    assert (answered.tokens, answered.finish_reason) == (CONTEXT - 201, "length")


@BOTH
async def test_a_failure_of_the_engine_is_told_and_the_next_answer_is_whole(triton, model):
    with pytest.raises(InferenceServerException, match="out of blocks"):
        await triton.answer(model, f"{BEL}abc")

    assert (await triton.answer(model, "next")).text == "next"


@BOTH
async def test_a_failure_after_the_first_tokens_is_told_too(triton, model):
    """This Triton loses such errors between models: the front then gives the answer up after a silence."""
    with pytest.raises(InferenceServerException, match=r"out of blocks|has said nothing"):
        await triton.answer(model, f"ab{BEL}c")

    crowd = await asyncio.gather(*(triton.answer(model, "whole") for _ in range(SLOTS + WAITING)))
    assert {answer.text for answer in crowd} == {"whole"}


@BOTH
async def test_more_answers_than_there_are_places_for_are_refused_at_once(triton, model):
    crowd = [triton.answer(model, "c" * 60) for _ in range(SLOTS + WAITING + 3)]

    answers = await asyncio.gather(*crowd, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(refused) == 3
    assert {str(error) for error in refused} == {"UNAVAILABLE: the language model has no place for another answer"}
    assert {answer.text for answer in answers if isinstance(answer, Answered)} == {"c" * 60}


@BOTH
async def test_whoever_leaves_frees_the_place(triton, model):
    leaving = [triton.stream(model, "l" * 200, max_tokens=200) for _ in range(SLOTS + WAITING)]
    for stream in leaving[:SLOTS]:
        await anext(stream)  # it is being written: all of it would take more than two seconds
    for stream in leaving:
        stream.cancel()

    async with asyncio.timeout(1.5):
        while True:
            try:
                answered = await triton.answer(model, "mine")
            except InferenceServerException:
                await asyncio.sleep(0.02)  # the places are being freed
            else:
                break

    assert answered.text == "mine"


@BOTH
async def test_a_busy_model_says_at_once_that_it_lives(triton, model):
    busy = [asyncio.create_task(triton.answer(model, "b" * 100)) for _ in range(SLOTS + WAITING)]

    lives = await triton.answer(model, "", max_tokens=0)

    assert (lives.pieces, lives.finish_reason) == ([""], "length")
    assert not any(task.done() for task in busy)
    await asyncio.gather(*busy)


async def test_texts_are_padded_to_a_few_widths_and_counted_without(triton):
    results = await asyncio.gather(*(triton.infer(EMBEDDER, text=["t" * n]) for n in (1, 15, 16, 40, 400)))

    widths, seen, _ = np.concatenate([result.as_numpy("embedding") for result in results]).T
    assert widths.tolist() == [16, 16, 32, 48, 48]
    assert seen.tolist() == [2, 16, 17, 41, 48]
    assert [int(result.as_numpy("num_tokens")[0, 0]) for result in results] == [2, 16, 17, 41, 48]


async def test_rows_of_one_request_keep_their_order(triton):
    result = await triton.infer(EMBEDDER, text=["a", "bbbb", "cc"])

    assert result.as_numpy("num_tokens").tolist() == [[2], [5], [3]]
    a, b, c = result.as_numpy("embedding")[:, 2]
    assert (b / 4 - a, c / 2 - a) == (1, 2)  # the sums of their tokens: letters follow each other


async def test_a_question_and_a_text_go_in_together(triton):
    result = await triton.infer(RERANKER, query=["who", "where"], text=["me", "here"])

    assert result.as_numpy("score").shape == (2, 1)
    assert result.as_numpy("num_tokens").tolist() == [[7], [11]]  # beginning, question, separator, text


async def test_an_engine_is_loaded_with_its_front_alone(triton):
    assert {ENGINE, f"{ENGINE}.engine", f"{EMBEDDER}.tokens", f"{RERANKER}.encoder"} <= await triton.ready()


async def test_a_version_is_unloaded_with_its_parts_when_its_answers_are_whole(triton):
    answer = triton.stream(ENGINE, "u" * 100)
    begun, _ = await anext(answer)

    unloading = await asyncio.create_subprocess_exec(UNLOAD, ENGINE, "--http", triton.http, stderr=PIPE)
    _, told = await asyncio.wait_for(unloading.communicate(), 20)

    pieces = [result.as_numpy("text_output")[0, 0] for result in (begun, *[rest async for rest, _ in answer])]
    assert b"".join(pieces) == b"u" * 100
    assert told.decode().splitlines() == [f"== unloading {ENGINE}", f"== unloading {ENGINE}.engine"]
    assert not {ENGINE, f"{ENGINE}.engine"} & await triton.ready()
