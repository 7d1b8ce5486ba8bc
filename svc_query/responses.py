"""What the domain found and said, as messages."""

from ragmesh import v1
from ragmesh.chunk import Chunk
from ragmesh.errors import MeshError
from ragmesh.inference.port import EmbedderInfo
from svc_query.conversation import Superseded, TurnEvent
from svc_query.events import AnswerEvent, Citation, Done, FinishReason, Sources, Token, Usage
from svc_query.passages import Part
from svc_query.retrieve import Mode, Retrieved
from svc_query.timings import Timings

FINISH_REASONS = {
    FinishReason.STOP: v1.FinishReason.STOP,
    FinishReason.LENGTH: v1.FinishReason.LENGTH,
    FinishReason.NOT_FOUND: v1.FinishReason.NOT_FOUND,
}
MODES = {
    Mode.HYBRID: v1.SearchMode.HYBRID,
    Mode.DENSE: v1.SearchMode.DENSE,
    Mode.SPARSE: v1.SearchMode.SPARSE,
}


def search_response(found: Retrieved, model: EmbedderInfo) -> v1.SearchResponse:
    """The results, best first."""
    return v1.SearchResponse(
        results=[v1.SearchResult(chunk=_chunk(hit.chunk), score=hit.score) for hit in found.hits],
        timings=_timings(found.timings),
        mode=MODES[found.mode],
        model=f"{model.name}/{model.version}",
    )


def list_chunks_response(part: Part) -> v1.ListChunksResponse:
    """Passages in the order of their text."""
    return v1.ListChunksResponse(chunks=list(map(_chunk, part.chunks)), next_page_token=part.next_token)


def answer_event(event: AnswerEvent) -> v1.AnswerEvent:
    """One event of an answer."""
    match event:
        case Sources():
            citations = [_citation(each) for each in event.citations]
            return v1.AnswerEvent(sources=v1.Sources(citations=citations, query=event.query))
        case Token():
            return v1.AnswerEvent(token=v1.Token(text=event.text))
        case Usage():
            usage = v1.Usage(prompt_tokens=event.prompt_tokens, completion_tokens=event.completion_tokens)
            return v1.AnswerEvent(usage=usage)
        case Done():
            return v1.AnswerEvent(done=_done(event))


def turn_event(event: TurnEvent) -> v1.AnswerEvent:
    """One event of a conversation."""
    match event:
        case Superseded():
            ended = v1.AnswerError(code="CANCELLED", message="a newer turn of the conversation took its place")
            return v1.AnswerEvent(error=ended)
        case MeshError():
            return answer_error(event)
        case _:
            return answer_event(event)


def answer_error(error: MeshError) -> v1.AnswerEvent:
    """The last event of an answer that failed on its way."""
    return v1.AnswerEvent(error=v1.AnswerError(code=error.code, message=error.message, retriable=error.retriable))


def _done(event: Done) -> v1.Done:
    return v1.Done(
        finish_reason=FINISH_REASONS[event.finish_reason],
        citations=[_citation(each) for each in event.citations],
        timings=_timings(event.timings),
        model=event.model,
    )


def _citation(citation: Citation) -> v1.Citation:
    return v1.Citation(marker=citation.marker, chunk=_chunk(citation.chunk), score=citation.score)


def _chunk(chunk: Chunk) -> v1.Chunk:
    return v1.Chunk(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        document_name=chunk.document_name,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        metadata=dict(chunk.metadata),
        headings=list(chunk.headings),
        language=chunk.language,
    )


def _timings(timings: Timings) -> v1.Timings:
    return v1.Timings(
        queue_ms=_ms(timings.queue_s),
        embed_ms=_ms(timings.embed_s),
        search_ms=_ms(timings.search_s),
        rerank_ms=_ms(timings.rerank_s),
        prompt_ms=_ms(timings.prompt_s),
        first_token_ms=_ms(timings.first_token_s),
        generate_ms=_ms(timings.generate_s),
        total_ms=_ms(timings.total_s),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
