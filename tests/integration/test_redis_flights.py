"""Equal work in flight on several instances is done once, whoever of them dies."""

import asyncio
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from ragmesh.errors import ResourceExhausted, Unavailable
from ragmesh.inference.port import Sampling
from ragmesh.rpc.config import Live
from ragmesh.settings import Settings
from ragmesh.storage.cache.redis import RedisCache
from ragmesh.storage.redis import RedisLink
from svc_query import redis_flights
from svc_query.answer import Question
from svc_query.answers import Answers
from svc_query.events import AnswerEvent, Citation, Done, FinishReason, Sources, Timings, Token, Usage
from svc_query.lookups import CachedEmbedder
from svc_query.redis_flights import RedisFlights
from svc_query.retrieve import Retriever, Search
from tests.query_fakes import FewChunks, LetterEmbedder, OneCollection, ScriptedModel, passage
from tests.servers import Server, running

ROOT = Path(__file__).parents[2]
TAKEN_OVER_WITHIN_S = 2.5
EVENTS: list[AnswerEvent] = [
    Sources((Citation(1, passage("塔\x00", headings=("a",), metadata={"k": "v"}), 0.1 + 0.2),)),
    Token("so"),
    Token(" far\n"),
    Usage(3, 2),
    Done(FinishReason.STOP, (), Timings(total_s=1 / 3)),
]


class Work:
    """Says EVENTS, one each time it is let."""

    def __init__(self, *, fault: Exception | None = None, says: list[AnswerEvent] = EVENTS) -> None:
        self.fault = fault
        self.says = says
        self.started = 0
        self.steps = asyncio.Semaphore(0)

    async def __call__(self) -> AsyncGenerator[AnswerEvent, None]:
        self.started += 1
        for event in self.says:
            await self.steps.acquire()
            yield event
        if self.fault:
            raise self.fault

    def let(self, steps: int = len(EVENTS)) -> None:
        for _ in range(steps):
            self.steps.release()


class Instance:
    """One of several query services, with its own connections."""

    def __init__(self, link: RedisLink) -> None:
        self._flights = RedisFlights(link)
        self.heard: list[AnswerEvent] = []

    async def ask(self, key: str, work: Work) -> list[AnswerEvent]:
        async with aclosing(self._flights.join(key, work)) as events:
            async for event in events:
                self.heard.append(event)
        return self.heard


@asynccontextmanager
async def instances(server: Server, count: int = 2) -> AsyncIterator[list[Instance]]:
    async with AsyncExitStack() as stack:
        yield [Instance(await stack.enter_async_context(RedisLink(server.url))) for _ in range(count)]


@pytest_asyncio.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[Server]:
    async with running("redis", tmp_path / "redis") as server:
        yield server


@pytest.fixture
def key() -> str:
    return f"answer/{uuid.uuid4()}"


async def heard(instance: Instance, count: int) -> None:
    async with asyncio.timeout(5):
        while len(instance.heard) < count:  # noqa: ASYNC110 it comes from another server
            await asyncio.sleep(0.005)


async def test_followers_hear_every_event_as_it_comes_and_the_work_is_done_once(redis: Server, key: str):
    work = Work()
    async with instances(redis, 3) as (leader, *followers), asyncio.TaskGroup() as tasks:
        tasks.create_task(leader.ask(key, work))
        work.let(2)
        await heard(leader, 2)
        for follower in followers:
            tasks.create_task(follower.ask(key, work))
        for follower in followers:
            await heard(follower, 2)
        work.let()

    assert [one.heard for one in (leader, *followers)] == [EVENTS] * 3
    assert work.started == 1


async def test_different_keys_are_different_work(redis: Server, key: str):
    work = Work()
    work.let(2 * len(EVENTS))

    async with instances(redis) as (one, other), asyncio.TaskGroup() as tasks:
        tasks.create_task(one.ask(f"{key}/a", work))
        tasks.create_task(other.ask(f"{key}/b", work))

    assert work.started == 2


async def test_an_error_of_the_work_reaches_those_who_follow(redis: Server, key: str):
    work = Work(fault=ResourceExhausted("busy", retry_after_s=2.5), says=EVENTS[:1])
    async with instances(redis) as (leader, follower):
        leading = asyncio.create_task(leader.ask(key, work))
        work.let(1)
        await heard(leader, 1)
        work.steps = asyncio.Semaphore(0)

        with pytest.raises(ResourceExhausted, match="busy"):
            await leading
        following = await asyncio.gather(follower.ask(key, Work(says=[])), return_exceptions=True)

    assert following == [[]]  # the flight is over: it is not joined later


async def test_an_error_is_told_to_a_follower_with_its_hint(redis: Server, key: str):
    work = Work(fault=ResourceExhausted("busy", retry_after_s=2.5), says=EVENTS[:2])
    async with instances(redis) as (leader, follower):
        leading = asyncio.create_task(leader.ask(key, work))
        work.let(1)
        await heard(leader, 1)
        following = asyncio.create_task(follower.ask(key, work))
        await heard(follower, 1)
        work.let(1)
        await asyncio.wait([leading, following])

    error = following.exception()
    assert isinstance(error, ResourceExhausted)
    assert (error.message, error.retry_after_s) == ("busy", 2.5)
    assert follower.heard == EVENTS[:2]


async def test_when_a_leaders_listeners_leave_a_follower_goes_on_at_once(redis: Server, key: str):
    abandoned, taken_over = Work(), Work()
    async with instances(redis) as (leader, follower):
        leading = asyncio.create_task(leader.ask(key, abandoned))
        abandoned.let(2)
        await heard(leader, 2)
        following = asyncio.create_task(follower.ask(key, taken_over))
        await heard(follower, 2)
        taken_over.let()

        leading.cancel()
        began = time.perf_counter()
        assert await following == EVENTS

    assert time.perf_counter() - began < 0.5


async def test_when_a_leader_is_killed_one_follower_takes_over_and_the_others_follow_it(redis: Server, key: str):
    leads = [sys.executable, "-m", "tests.integration.redis_flight_leader", redis.url, key]
    process = await asyncio.create_subprocess_exec(*leads, cwd=ROOT, stdout=PIPE)
    assert process.stdout
    assert await process.stdout.readline() == b"told\n"
    says: list[AnswerEvent] = [Token("so far"), Token(", so good")]
    work = Work(says=says)
    async with instances(redis, 3) as followers:
        following = [asyncio.create_task(follower.ask(key, work)) for follower in followers]
        for follower in followers:
            await heard(follower, 1)
        work.let()

        process.kill()
        began = time.perf_counter()
        await process.wait()
        answers = await asyncio.gather(*following)

    assert answers == [says] * 3
    assert work.started == 1
    assert time.perf_counter() - began < TAKEN_OVER_WITHIN_S


async def test_who_heard_something_else_from_a_dead_leader_is_told_to_ask_again(redis: Server, key: str):
    async with instances(redis) as (leader, follower):
        work, other = Work(), Work(says=[Token("another answer")])
        leading = asyncio.create_task(leader.ask(key, work))
        work.let(2)
        await heard(leader, 2)
        following = asyncio.create_task(follower.ask(key, other))
        await heard(follower, 2)
        other.let()
        leading.cancel()

        with pytest.raises(Unavailable, match="ask again"):
            await following


async def test_a_leader_that_lost_its_lease_says_nothing_to_its_successors_followers(
    redis: Server, key: str, monkeypatch: pytest.MonkeyPatch
):
    """As after a stop of its process: it believes that it leads still."""
    late, next_work = Work(), Work()
    async with instances(redis, 3) as (slept, successor, follower), asyncio.TaskGroup() as tasks:
        monkeypatch.setattr(redis_flights, "RENEW_S", 60)
        tasks.create_task(slept.ask(key, late))
        late.let(1)
        await heard(slept, 1)
        monkeypatch.undo()
        async with RedisLink(redis.url) as link:
            await link.ask(lambda client: client.delete(f"ragmesh:flight:{key}"))
        tasks.create_task(successor.ask(key, next_work))
        next_work.let(1)
        await heard(successor, 1)
        tasks.create_task(follower.ask(key, next_work))
        await heard(follower, 1)
        late.let()
        await heard(slept, len(EVENTS))
        assert follower.heard == EVENTS[:1]
        next_work.let()

    assert [one.heard for one in (slept, successor, follower)] == [EVENTS] * 3


async def test_when_redis_goes_every_instance_finishes_for_itself(own_redis: Server, key: str):
    work = Work()
    async with instances(own_redis) as (leader, follower), asyncio.TaskGroup() as tasks:
        tasks.create_task(leader.ask(key, work))
        work.let(1)
        await heard(leader, 1)
        tasks.create_task(follower.ask(key, work))
        await heard(follower, 1)
        await own_redis.kill()
        work.let(2 * len(EVENTS))

    assert (leader.heard, follower.heard) == (EVENTS, EVENTS)
    assert work.started == 2


async def test_a_flight_leaves_nothing_behind_for_long(redis: Server, key: str):
    work = Work()
    work.let()
    async with instances(redis, 1) as (one,), RedisLink(redis.url) as link:
        await one.ask(key, work)
        names = await link.ask(lambda client: client.keys(f"ragmesh:flight:{key}*"))
        lives = [await link.ask(lambda client, name=name: client.ttl(name)) for name in names]

    assert len(names) == 2  # its lease, and what it said
    assert all(0 <= life <= redis_flights.KEPT_S for life in lives)


@asynccontextmanager
async def query_service(redis: Server, llm: ScriptedModel, searcher: FewChunks) -> AsyncIterator[Answers]:
    embedder, documents = LetterEmbedder(), OneCollection(searcher)
    async with RedisLink(redis.url) as link:
        cache = RedisCache(link)
        async with Retriever(CachedEmbedder(embedder, cache, 60), searcher, documents) as retriever:
            yield Answers(
                lambda: retriever,
                lambda: llm,
                documents=documents,
                cache=cache,
                shared=RedisFlights(link),
                live=Live(Settings(answers_max=8)),
            )


def question(tenant: str) -> Question:
    return Question(Search(tenant, "default", "When was the tower completed?", top_k=4), Sampling())


async def text_of(answers: Answers, asked: Question) -> str:
    async with aclosing(answers.ask(asked)) as events:
        return "".join([event.text async for event in events if isinstance(event, Token)])


async def test_two_query_services_write_an_equal_question_once(redis: Server):
    llm = ScriptedModel("It was completed", " in March 1889.")
    searcher = FewChunks([passage("The tower was completed in March 1889.", document="tower")])
    asked = question(str(uuid.uuid4()))
    async with query_service(redis, llm, searcher) as one, query_service(redis, llm, searcher) as other:
        texts = await asyncio.gather(*(text_of(answers, asked) for answers in (one, other) * 4))

    assert set(texts) == {"It was completed in March 1889. [1]"}
    assert len(llm.prompts) == 1


async def test_an_answer_is_never_shared_with_another_tenant(redis: Server):
    llm = ScriptedModel("It was completed", " in March 1889.")
    tenants = [str(uuid.uuid4()) for _ in range(4)]
    searcher = FewChunks([passage("The tower was completed in March 1889.", document="tower")])
    async with query_service(redis, llm, searcher) as one, query_service(redis, llm, searcher) as other:
        asked = [text_of(answers, question(tenant)) for tenant in tenants for answers in (one, other)]
        await asyncio.gather(*asked)

    assert len(llm.prompts) >= len(tenants)  # more where Redis is late: each then writes for itself
