"""Requests, checked once and turned into what the domain takes. Each refusal says what would be right."""

from dataclasses import dataclass

from ragmesh import v1
from ragmesh.errors import InvalidArgument, Unimplemented
from ragmesh.inference.port import Role, Sampling
from svc_query.answer import Question
from svc_query.condense import Speaker, Turn
from svc_query.conversation import CHARS_MAX, TURNS_MAX
from svc_query.filters import parse_filter
from svc_query.passages import Opening
from svc_query.retrieve import Mode, Search
from svc_query.suggest import OfAnswer, OfDocument, Wish

DEFAULT_COLLECTION = "default"
TEXT_MAX_CHARS = 8_192
TOP_K_MAX = 100
TOKENS_MAX = 4_096
TOKENS = 256
TEMPERATURE_MAX = 2.0
STOPS_MAX = 8
STOP_MAX_CHARS = 256
SUGGESTIONS_MAX = 10
SUGGESTIONS = 3
TEXTS_MAX = 256
EMBED_MAX_CHARS = 32_768
PROMPT_MAX_CHARS = 65_536
INSTRUCTION_MAX_CHARS = 2_048
ID_MAX_CHARS = 64
PASSAGES_MAX = 100
PASSAGES = 20
PAGE_MAX = 2**31 - 1

MODES = {
    v1.SearchMode.HYBRID: Mode.HYBRID,
    v1.SearchMode.DENSE: Mode.DENSE,
    v1.SearchMode.SPARSE: Mode.SPARSE,
}
SPEAKERS = {v1.Speaker.USER: Speaker.USER, v1.Speaker.ASSISTANT: Speaker.ASSISTANT}
ROLES = {
    v1.EmbedRole.UNSPECIFIED: Role.QUERY,
    v1.EmbedRole.QUERY: Role.QUERY,
    v1.EmbedRole.PASSAGE: Role.PASSAGE,
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request that does not say gets."""

    results: int = 8
    passages: int = 4
    mode: Mode = Mode.HYBRID


def parse_search(request: v1.SearchRequest, tenant: str, defaults: Defaults) -> Search:
    """What is looked for."""
    return _search(request, request.query, tenant, "query", defaults.results, defaults.mode)


def parse_answer(request: v1.AnswerRequest, tenant: str, defaults: Defaults) -> Question:
    """What is asked."""
    search = _search(request, request.question, tenant, "question", defaults.passages, defaults.mode)
    return Question(search, _sampling(request), _history(request.history), _instruction(request.instruction))


def parse_complete(request: v1.CompleteRequest) -> tuple[str, Sampling]:
    """A text to continue, and how."""
    return _text("prompt", request.prompt, most=PROMPT_MAX_CHARS), _sampling(request)


def parse_suggest(request: v1.SuggestQuestionsRequest, tenant: str) -> Wish:
    """How many questions are wanted, and about what."""
    count = _whole("count", request.count, SUGGESTIONS, most=SUGGESTIONS_MAX)
    collection = request.collection or DEFAULT_COLLECTION
    if request.document_id is not None:
        return Wish(tenant, collection, count, OfDocument(_text("document_id", request.document_id)))
    if request.answer is not None:
        return Wish(tenant, collection, count, OfAnswer(_text("answer", request.answer)))
    return Wish(tenant, collection, count)


def parse_list_chunks(request: v1.ListChunksRequest, tenant: str) -> Opening:
    """Which passages of a document are wanted."""
    if request.page > PAGE_MAX:
        raise InvalidArgument(f"page is from 1, or 0 for all, not {request.page:,}", field="page")
    return Opening(
        tenant=tenant,
        collection=request.collection or DEFAULT_COLLECTION,
        document_id=_text("document_id", request.document_id, most=ID_MAX_CHARS),
        limit=_whole("page_size", request.page_size or None, PASSAGES, most=PASSAGES_MAX),
        page=request.page,
        token=request.page_token,
        around=request.around,
    )


def parse_embed(request: v1.EmbedRequest) -> tuple[list[str], Role]:
    """Texts, and what they are."""
    if not 1 <= len(request.texts) <= TEXTS_MAX:
        raise InvalidArgument(f"send 1 to {TEXTS_MAX} texts, not {len(request.texts)}", field="texts")
    for text in request.texts:
        _text("texts", text, most=EMBED_MAX_CHARS)
    if request.role not in ROLES:
        raise InvalidArgument(f"there is no role {int(request.role)}: send QUERY or PASSAGE", field="role")
    return request.texts, ROLES[request.role]


def _search(
    request: v1.SearchRequest | v1.AnswerRequest, text: str, tenant: str, field: str, top_k: int, mode: Mode
) -> Search:
    if request.rerank:
        raise Unimplemented("no reranking model is loaded: leave rerank false", field="rerank")
    modes = MODES | {v1.SearchMode.UNSPECIFIED: mode}
    if request.mode not in modes:
        raise InvalidArgument(
            f"there is no search mode {int(request.mode)}: send HYBRID, DENSE or SPARSE", field="mode"
        )
    return Search(
        tenant=tenant,
        collection=request.collection or DEFAULT_COLLECTION,
        text=_text(field, text),
        top_k=_whole("top_k", request.top_k, top_k, most=TOP_K_MAX),
        mode=modes[request.mode],
        filter=parse_filter(request.filter),
    )


def _history(turns: list[v1.Turn]) -> tuple[Turn, ...]:
    if len(turns) > TURNS_MAX:
        raise InvalidArgument(f"history has {len(turns):,} turns: at most {TURNS_MAX} are allowed", field="history")
    if (chars := sum(len(turn.text) for turn in turns)) > CHARS_MAX:
        raise InvalidArgument(
            f"history has {chars:,} characters: at most {CHARS_MAX:,} are allowed", field="history"
        )
    return tuple(_turn(turn) for turn in turns)


def _turn(turn: v1.Turn) -> Turn:
    if turn.speaker not in SPEAKERS:
        raise InvalidArgument(
            f"there is no speaker {int(turn.speaker)}: send USER or ASSISTANT", field="history.speaker"
        )
    return Turn(SPEAKERS[turn.speaker], turn.text)


def _instruction(text: str) -> str:
    return _text("instruction", text, most=INSTRUCTION_MAX_CHARS) if text else ""


def _sampling(request: v1.AnswerRequest | v1.CompleteRequest) -> Sampling:
    temperature = 0.0 if request.temperature is None else request.temperature
    top_p = 1.0 if request.top_p is None else request.top_p
    if not 0 <= temperature <= TEMPERATURE_MAX:  # NaN is in no range
        raise InvalidArgument(
            f"temperature is from 0 to {TEMPERATURE_MAX:g}, not {temperature:g}", field="temperature"
        )
    if not 0 < top_p <= 1:
        raise InvalidArgument(f"top_p is above 0 and at most 1, not {top_p:g}", field="top_p")
    return Sampling(
        max_tokens=_whole("max_tokens", request.max_tokens, TOKENS, most=TOKENS_MAX),
        temperature=temperature,
        top_p=top_p,
        seed=request.seed,
        stop=_stops(request.stop),
    )


def _stops(stops: list[str]) -> tuple[str, ...]:
    if len(stops) > STOPS_MAX:
        raise InvalidArgument(f"at most {STOPS_MAX} stop texts are allowed, not {len(stops)}", field="stop")
    return tuple(_text("stop", stop, most=STOP_MAX_CHARS, blank=True) for stop in stops)


def _text(field: str, text: str, *, most: int = TEXT_MAX_CHARS, blank: bool = False) -> str:
    if not (text if blank else text.strip()):
        raise InvalidArgument(f"{field} is empty: send 1 to {most:,} characters", field=field)
    if len(text) > most:
        raise InvalidArgument(f"{field} has {len(text):,} characters: at most {most:,} are allowed", field=field)
    return text


def _whole(field: str, value: int | None, default: int, *, most: int) -> int:
    if value is None:
        return default
    if not 1 <= value <= most:
        raise InvalidArgument(f"{field} is from 1 to {most:,}, not {value:,}", field=field)
    return value
