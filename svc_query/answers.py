"""Answers, shared: from the cache, together with an equal question in flight, or written anew.

answers = Answers(lambda: retriever, lambda: llm, documents=documents, cache=cache, shared=flights, live=live)
async with aclosing(answers.ask(question)) as events: ...
"""

import asyncio
import hashlib
import json
import secrets
import time
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, replace

from prometheus_client import Gauge
from pydantic import TypeAdapter, ValidationError

from ragmesh.errors import DeadlineExceeded, ResourceExhausted
from ragmesh.inference.port import LanguageModel, Sampling
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import bound, request_id, tenant
from ragmesh.storage.cache.port import Cache
from svc_query.admission import FirstTokens
from svc_query.answer import Manner, Question, answer
from svc_query.complete import complete
from svc_query.events import AnswerEvent, Done, Sources, Token, Usage
from svc_query.flight import Flights
from svc_query.lookups import LOOKUPS
from svc_query.ports import Collection, Documents, SharedFlights
from svc_query.retrieve import Retriever
from svc_query.timings import Timings

ANSWERS_IN_FLIGHT = Gauge("ragmesh_answers_in_flight", "Answers that are being written")
RETRY_AFTER_S = 2.0
WRITTEN_BY = "answers/3"  # part of every key: grows when prompts, citations or the record's form change


@dataclass(frozen=True, slots=True)
class Record:
    """A complete answer, as it is cached."""

    sources: Sources
    text: str
    usage: Usage
    done: Done


_RECORDS = TypeAdapter(Record)


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What one answer is made with."""

    retriever: Retriever
    llm: LanguageModel


class Answers:
    """Answers of this process."""

    def __init__(
        self,
        retriever: Callable[[], Retriever],
        llm: Callable[[], LanguageModel],
        *,
        documents: Documents,
        cache: Cache,
        shared: SharedFlights,
        live: Live,
    ) -> None:
        """`retriever` and `llm` give those of one answer, which is written with them to its end."""
        self._retriever = retriever
        self._llm = llm
        self._documents = documents
        self._cache = cache
        self._shared = shared
        self._live = live
        self._first_tokens = FirstTokens(lambda: live.now.first_token_target_s)
        self._flights = Flights[AnswerEvent](self._admit)
        ANSWERS_IN_FLIGHT.set_function(lambda: len(self._flights))

    async def ask(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """The events of an answer. Closing it stops the writing, unless somebody else is listening to the same."""
        began = time.perf_counter()
        collection = await self._documents.collection(question.search.tenant, question.search.collection)
        means = Means(self._retriever(), self._llm())
        key = self._key(question, collection, means)
        record = await self._recorded(key)
        LOOKUPS.labels("answer", "hit" if record else "miss").inc()
        if record:
            for event in _replayed(record, began):
                yield event
            return
        async with aclosing(self._flights.join(key, lambda: self._begin(question, key, means))) as events:
            async for event in events:
                yield event

    async def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[AnswerEvent, None]:
        """A text continued by the model alone, within the same limits as answers. Closing it stops the writing."""

        def begin() -> AsyncGenerator[AnswerEvent, None]:
            return self._in_time(complete(prompt, sampling, self._llm()))

        async with aclosing(self._flights.join(f"completion/{secrets.token_hex(16)}", begin)) as events:
            async for event in events:
                yield event

    @property
    def pressure(self) -> float:
        """How close answers come to beginning too late: 0 for idle, 1 for no more that can be taken on."""
        return self._first_tokens.pressure

    def _admit(self, in_flight: int) -> None:
        """Raises ResourceExhausted where one more answer would be too many, or would begin too late."""
        most = self._live.now.answers_max
        if in_flight >= most:
            raise ResourceExhausted(
                f"{most} answers are being written, which is all that this service takes on at once",
                retry_after_s=RETRY_AFTER_S,
            )
        self._first_tokens.admit()

    def _begin(self, question: Question, key: str, means: Means) -> AsyncGenerator[AnswerEvent, None]:
        if not is_repeatable(question):
            return self._write(question, key, means)
        return self._shared.join(key, lambda: self._write_once(question, key, means))

    async def _write_once(self, question: Question, key: str, means: Means) -> AsyncGenerator[AnswerEvent, None]:
        """A new answer, unless another instance has finished the same one since this one looked."""
        if record := await self._recorded(key):
            for event in _replayed(record, time.perf_counter()):
                yield event
            return
        async with aclosing(self._write(question, key, means)) as events:
            async for event in events:
                yield event

    async def _write(self, question: Question, key: str, means: Means) -> AsyncGenerator[AnswerEvent, None]:
        """A new answer, cached before its end is told, so that nobody writes it twice."""
        events: list[AnswerEvent] = []
        written_by = means.llm.info
        writing = answer(question, retriever=means.retriever, llm=means.llm, manner=self._manner())
        async with aclosing(self._in_time(writing)) as written:
            async for event in written:
                if isinstance(event, Done) and self._is_kept(question) and means.llm.info is written_by:
                    await self._keep(key, _record(events, event))
                events.append(event)
                yield event

    async def _in_time(self, writing: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
        """The events of a text that is being written, by its deadline, the coming of its first token noted."""
        async with self._own_deadline(), aclosing(writing) as events:
            with self._first_tokens.awaited() as came:
                async for event in events:
                    if isinstance(event, Token):
                        came()
                    yield event

    @asynccontextmanager
    async def _own_deadline(self) -> AsyncIterator[None]:
        """Not the deadline of the caller who began the answer: others may be listening to it too."""
        timeout_s = self._live.now.answer_timeout_s
        try:
            with bound(tenant=tenant(), request_id=request_id(), timeout_s=timeout_s):
                async with asyncio.timeout(timeout_s):
                    yield
        except TimeoutError:
            raise DeadlineExceeded(f"the answer took longer than {timeout_s:g} s") from None

    def _is_kept(self, question: Question) -> bool:
        return is_repeatable(question) and self._live.now.answer_cache

    async def _keep(self, key: str, record: Record) -> None:
        await self._cache.set(key, _RECORDS.dump_json(record), self._live.now.cache_ttl_s)

    async def _recorded(self, key: str) -> Record | None:
        value = await self._cache.get(key) if self._live.now.answer_cache else None
        if value is None:
            return None
        try:
            return _RECORDS.validate_json(value)
        except ValidationError:  # written by another version: as good as forgotten
            return None

    def _manner(self) -> Manner:
        now = self._live.now
        return Manner(now.condense, now.grounded)

    def _key(self, question: Question, collection: Collection, means: Means) -> str:
        """Equal for questions that have the same answer; for nothing else."""
        search = replace(question.search, collection=collection.id, text=normalised(question.text))
        parts = (
            WRITTEN_BY,
            asdict(search),
            [type(condition).__name__ for condition in search.filter],
            collection.revision,
            asdict(question.sampling),
            [asdict(turn) for turn in question.history],
            question.instruction,
            asdict(self._manner()),
            (means.retriever.model.name, means.retriever.model.version),
            (means.llm.info.name, means.llm.info.version),
            "" if is_repeatable(question) else secrets.token_hex(16),
        )
        return f"answer/{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def is_repeatable(question: Question) -> bool:
    """Whether asking again should give the same answer. Who samples without a seed wants another one each time."""
    return question.sampling.temperature == 0 or question.sampling.seed is not None


def normalised(text: str) -> str:
    """A question without differences that mean nothing: forms of the same character, white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _record(events: Sequence[AnswerEvent], done: Done) -> Record:
    """What a complete answer said; it began with its sources, and told its usage last."""
    return Record(
        sources=next(event for event in events if isinstance(event, Sources)),
        text="".join(event.text for event in events if isinstance(event, Token)),
        usage=next(event for event in events if isinstance(event, Usage)),
        done=done,
    )


def _replayed(record: Record, began: float) -> tuple[AnswerEvent, ...]:
    timings = Timings(total_s=time.perf_counter() - began)
    return record.sources, Token(record.text), record.usage, replace(record.done, timings=timings)
