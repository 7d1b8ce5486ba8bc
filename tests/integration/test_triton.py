"""The models on the real Triton, through the clients that the services use."""

import asyncio
import os
import signal
import sys
import time
from contextlib import aclosing

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from tritonclient.grpc import InferInput

from ragmesh.errors import DeadlineExceeded, InvalidArgument, MeshError, Unavailable
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.port import Message, Role, Sampling
from ragmesh.inference.triton import Triton, translated
from ragmesh.rpc.context import bound
from tests.triton_server import TritonServer

HEALED_WITHIN_S = 90.0
E5, SMOLLM = "e5-small@1", "smollm2-135m@1"
STOPPED_WITHIN_S = 0.3  # of the next token
ASK = [Message("user", "Tell a long story about a harbour.")]


@pytest_asyncio.fixture(scope="session")
async def embedder(triton):
    async with TritonEmbedder(triton.url, E5) as embedder:
        yield embedder


@pytest_asyncio.fixture(scope="session")
async def llm(triton):
    async with TritonLanguageModel(triton.url, SMOLLM) as llm:
        yield llm


async def answer(llm, messages=ASK, **sampling):
    """All pieces of an answer."""
    return [piece async for piece in llm.generate(messages, Sampling(**sampling))]


async def until_increased(triton, counter: str, before: dict[str, float]) -> dict[str, float]:
    """Triton's counters once one of them has grown."""
    async with asyncio.timeout(10):
        while True:
            now = await triton.counters()
            if now[counter] > before[counter]:
                return now
            await asyncio.sleep(0.01)  # it is a page to be polled


async def until_it_answers(triton, ask) -> None:
    async with asyncio.timeout(HEALED_WITHIN_S):
        while True:
            try:
                await ask()
            except Unavailable:
                await triton.start_if_ended()
                await asyncio.sleep(0.1)
            else:
                return


async def test_the_embedder_says_what_it_is(embedder):
    assert (embedder.info.name, embedder.info.dims, embedder.info.max_tokens) == ("e5-small", 384, 512)
    assert embedder.info.languages == {"en", "zh"}
    assert (embedder.info.query_prefix, embedder.info.passage_prefix) == ("query: ", "passage: ")


async def test_a_question_is_nearest_to_its_passage_in_english_and_chinese(embedder):
    passages = [
        "The ferry leaves the harbour at six.",
        "Passes are renewed at the counter on the first floor.",
        "渡轮早上六点离开港口。",
        "通行证在一楼柜台续签。",
    ]
    questions = ["Where do I renew my pass?", "通行证在哪里续签？"]

    vectors = await embedder.embed(passages, Role.PASSAGE)
    asked = await embedder.embed(questions, Role.QUERY)

    assert np.allclose(np.linalg.norm(np.vstack([vectors, asked]), axis=1), 1.0, atol=1e-5)
    nearest = (asked @ vectors.T).argmax(axis=1)
    assert list(nearest) == [1, 3]


async def test_a_text_has_the_same_vector_in_any_company(embedder):
    alone = await embedder.embed(["a short text"], Role.PASSAGE)

    together = await embedder.embed(["long " * 200, "a short text", "x"], Role.PASSAGE)

    assert np.array_equal(together[1], alone[0])


async def test_more_texts_than_a_batch_come_back_in_order_with_their_tokens(embedder):
    texts = [f"number {n}" for n in range(100)]

    vectors, tokens = await embedder.embed_counted(texts, Role.QUERY)

    assert vectors.shape == (100, 384)
    assert np.array_equal(vectors[77], (await embedder.embed(["number 77"], Role.QUERY))[0])
    assert tokens > 100 * 4


async def test_no_text_has_no_vector_and_a_huge_one_is_cut(embedder):
    assert (await embedder.embed([], Role.QUERY)).shape == (0, 384)

    _, tokens = await embedder.embed_counted(["word " * 100_000], Role.PASSAGE)

    assert tokens == embedder.info.max_tokens


async def test_text_that_is_not_utf8_is_refused_and_its_neighbours_are_not(triton, embedder):
    tensor = InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[b"\xff\xfe"]], np.object_))

    async with Triton(triton.url) as connection:
        good = asyncio.create_task(embedder.embed(["good"], Role.QUERY))
        with pytest.raises(InvalidArgument, match="not UTF-8"), translated():
            await connection.client.infer(E5, [tensor])

    assert (await good).shape == (1, 384)


async def test_a_question_does_not_wait_for_a_document(embedder):
    document = asyncio.create_task(embedder.embed(["passage " * 300] * 40, Role.PASSAGE))
    await asyncio.sleep(0.1)

    await embedder.embed(["and now?"], Role.QUERY)

    assert not document.done()
    document.cancel()


async def test_the_callers_deadline_holds(embedder):
    with bound(timeout_s=0.05), pytest.raises(DeadlineExceeded):
        await embedder.embed(["passage " * 300] * 40, Role.PASSAGE)


async def test_text_is_streamed_and_ends_with_its_reason_and_its_price(llm):
    *pieces, last = await answer(llm, max_tokens=12)

    assert len(pieces) > 3
    assert all(piece.text and piece.finish_reason is None for piece in pieces)
    assert (last.text, last.finish_reason, last.completion_tokens) == ("", "length", 12)
    assert last.prompt_tokens > 10


async def test_an_answer_that_ends_by_itself_or_at_a_stop_word_says_stop(llm):
    by_itself = await answer(llm, [Message("user", "Say only: hello")], max_tokens=200)
    at_a_word = await answer(llm, max_tokens=200, stop=(" the",))

    assert by_itself[-1].finish_reason == "stop"
    assert at_a_word[-1].finish_reason == "stop"
    assert " the" not in "".join(piece.text for piece in at_a_word)


async def test_the_likeliest_text_is_the_same_each_time(llm):
    once, twice = [await answer(llm, max_tokens=16) for _ in range(2)]

    assert [piece.text for piece in once] == [piece.text for piece in twice]


async def test_closing_the_generator_stops_the_generation_in_triton(triton, llm):
    before = await triton.counters()

    async with aclosing(llm.generate(ASK, Sampling(max_tokens=1000))) as pieces:
        async for _ in pieces:
            break
    closed = time.monotonic()
    now = await until_increased(triton, "cancelled_total", before)

    assert time.monotonic() - closed < STOPPED_WITHIN_S
    assert now["tokens_total"] - before["tokens_total"] < 30
    assert now["active"] == 0


async def test_cancelling_the_reader_stops_the_generation_in_triton(triton, llm):
    before = await triton.counters()

    reader = asyncio.create_task(answer(llm, max_tokens=1000))
    await until_increased(triton, "tokens_total", before)
    reader.cancel()

    await until_increased(triton, "cancelled_total", before)
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_a_reader_who_leaves_while_the_prompt_is_read_frees_the_slot(triton, llm):
    before = await triton.counters()
    long = [Message("user", " ".join(f"w{n}" for n in range(400)))]

    reader = asyncio.create_task(answer(llm, long, max_tokens=1000))
    await until_increased(triton, "active", before)
    reader.cancel()
    now = await until_increased(triton, "cancelled_total", before)

    assert now["tokens_total"] == before["tokens_total"]


async def test_a_prompt_beyond_the_context_is_refused(llm):
    with pytest.raises(InvalidArgument, match="context"):
        await answer(llm, [Message("user", "word " * 5000)], max_tokens=5)


async def test_more_answers_than_places_are_refused_at_once_and_the_rest_are_written(llm):
    results = await asyncio.gather(*(answer(llm, max_tokens=16) for _ in range(20)), return_exceptions=True)

    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, Unavailable) and "no place" in error.message for error in refused)
    assert len(refused) == 20 - 4 - 8


async def test_a_busy_model_is_not_taken_for_dead(triton, llm):
    stub = triton.stub(SMOLLM).pid

    results = await asyncio.gather(*(answer(llm, max_tokens=60) for _ in range(12)), return_exceptions=True)
    await llm.require_alive()

    assert not [result for result in results if isinstance(result, MeshError)]
    assert triton.stub(SMOLLM).pid == stub


async def test_the_port_that_llama_opens_is_locked(triton):
    listening = [c.laddr.port for c in triton.stub(SMOLLM).net_connections("tcp") if c.status == "LISTEN"]

    assert listening
    for port in listening:
        async with aiohttp.request("POST", f"http://127.0.0.1:{port}/completion", json={}) as response:
            assert response.status == 401


async def test_triton_tells_its_models_and_what_they_have_served(triton):
    async with Triton(triton.url) as connection:
        models = {model.name: model for model in await connection.models()}

        assert (await connection.version()).startswith("2.")
    assert (models[E5].state, models[SMOLLM].state) == ("READY", "READY")
    assert models[E5].parameters["weights"] == "multilingual-e5-small int8"
    assert models[E5].successes > 0


async def test_a_killed_language_model_fails_its_readers_and_comes_back(triton, llm):
    before = await triton.counters()
    reader = asyncio.create_task(answer(llm, max_tokens=1000))
    await until_increased(triton, "tokens_total", before)

    triton.stub(SMOLLM).kill()

    async with asyncio.timeout(HEALED_WITHIN_S):
        with pytest.raises(Unavailable):
            await reader
    await until_it_answers(triton, lambda: answer(llm, max_tokens=2))


async def test_a_killed_embedder_comes_back(triton, embedder):
    triton.stub(E5).kill()

    with pytest.raises(Unavailable):
        await embedder.embed(["now?"], Role.QUERY)
    await until_it_answers(triton, lambda: embedder.embed(["and now?"], Role.QUERY))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_an_ended_server_leaves_no_process_and_clients_survive_the_next_start(triton, embedder, llm, how):
    old = triton.shared_memory()

    assert await triton.end(how) == []
    if how is signal.SIGTERM:
        assert triton.shared_memory() == set()
    with pytest.raises(Unavailable):
        await embedder.embed(["gone?"], Role.QUERY)
    await triton.start()

    assert not triton.shared_memory() & old
    await until_it_answers(triton, lambda: embedder.embed(["back?"], Role.QUERY))
    await until_it_answers(triton, lambda: answer(llm, max_tokens=2))


async def test_the_english_embedder_serves_too(tmp_path):
    async with TritonServer(tmp_path, "english") as server, TritonEmbedder(server.url, "minilm-l6@1") as embedder:
        asked = await embedder.embed(["When does the ferry leave?"], Role.QUERY)
        found = await embedder.embed(["The ferry leaves at six.", "Passes are renewed here."], Role.PASSAGE)

    assert (embedder.info.name, embedder.info.languages) == ("minilm-l6", {"en"})
    assert list((asked @ found.T).argmax(axis=1)) == [0]


async def test_a_server_without_models_says_what_to_do(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ragmesh.inference.server"),
        env={**os.environ, "RAGMESH_DATA_DIR": str(tmp_path)},
        stderr=asyncio.subprocess.PIPE,
    )

    _, said = await process.communicate()

    assert process.returncode == 1
    assert b"build them with `ragmesh models build`" in said
