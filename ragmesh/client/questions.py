"""Questions: search, answers, conversations, and the models alone."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from ragmesh.client.answers import Answer, AnswerOptions, Sampling, asking, unbroken
from ragmesh.client.chat import Chat
from ragmesh.client.connection import Connection
from ragmesh.v1 import (
    AnswerEvent,
    CompleteRequest,
    EmbedRequest,
    EmbedRole,
    Filter,
    SearchMode,
    SearchRequest,
    SearchResponse,
    SuggestQuestionsRequest,
    Turn,
)

SESSION_S = 24 * 3600.0  # longest conversation on one stream; the next question begins another


class QuestionCalls(Connection):
    """What a client asks."""

    async def search(
        self,
        query: str,
        *,
        collection: str = "",
        top_k: int | None = None,
        mode: SearchMode = SearchMode.UNSPECIFIED,
        where: Filter | None = None,
        rerank: bool = False,
        timeout: float | None = None,
    ) -> SearchResponse:
        """The passages that fit best."""
        request = SearchRequest(
            collection=collection, query=query, top_k=top_k, mode=mode, filter=where, rerank=rerank
        )
        return await self._repeatable(self._query.search, request, timeout or self._settings.search_timeout_s)

    async def answer(
        self,
        question: str,
        *,
        collection: str = "",
        history: Sequence[Turn] = (),
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Streams an answer: sources, tokens, usage, done. Raises what it breaks off with, in the middle too.

        `history` is what was said before, oldest first. Closing the generator stops the model.
        """
        request = asking(question, collection, options)
        request.history = list(history)
        answering = self._stream(self._query.answer, request, timeout or self._settings.answer_timeout_s)
        async with aclosing(unbroken(answering)) as events:
            async for event in events:
                yield event

    async def ask(
        self,
        question: str,
        *,
        collection: str = "",
        history: Sequence[Turn] = (),
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Answer:
        """The whole answer to a question, once it is complete."""
        answering = self.answer(question, collection=collection, history=history, timeout=timeout, **options)
        async with aclosing(answering) as events:
            return await Answer.of(events)

    def chat(
        self,
        *,
        collection: str = "",
        history: Sequence[Turn] = (),
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Chat:
        """A conversation, for `async with`: each question is read in the light of those before it.

        `timeout` is how long one answer may take.
        """
        return Chat(
            lambda: self._query.chat(**self._options(SESSION_S)),
            asking("", collection, options),
            history,
            timeout or self._settings.answer_timeout_s,
        )

    async def complete(
        self, prompt: str, *, timeout: float | None = None, **options: Unpack[Sampling]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Continues a text with the language model alone: tokens, then usage. No collection is read."""
        request = CompleteRequest(
            prompt=prompt,
            max_tokens=options.get("max_tokens"),
            temperature=options.get("temperature"),
            top_p=options.get("top_p"),
            seed=options.get("seed"),
            stop=list(options.get("stop", ())),
        )
        completing = self._stream(self._query.complete, request, timeout or self._settings.answer_timeout_s)
        async with aclosing(unbroken(completing)) as events:
            async for event in events:
                yield event

    async def suggest(
        self,
        *,
        collection: str = "",
        count: int = 3,
        document_id: str | None = None,
        answer: str | None = None,
        timeout: float | None = None,
    ) -> Sequence[str]:
        """Questions that a document, an answer or the whole collection suggests."""
        request = SuggestQuestionsRequest(
            collection=collection, count=count, document_id=document_id, answer=answer
        )
        deadline_s = timeout or self._settings.answer_timeout_s
        return (await self._repeatable(self._query.suggest_questions, request, deadline_s)).questions

    async def embed(
        self, texts: Sequence[str], role: EmbedRole = EmbedRole.QUERY, *, timeout: float | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dims)."""
        request = EmbedRequest(texts=list(texts), role=role)
        response = await self._repeatable(self._query.embed, request, timeout)
        return np.frombuffer(response.vectors, "<f4").reshape(-1, response.dims)
