"""The prompt: numbered sources and the question, within a budget of the model's own tokens.

A prompt is kept much shorter than the model's context. On a CPU each of its tokens delays the first word of the
answer by milliseconds, and small models lose the thread in long ones. Sources are quotations, each under a heading,
and nothing inside can pass for such a heading, a citation mark or a token of the chat template.

The best source is given whole, as far as there is room, before the next one gets any: decision 0016 has what other
shares came to. It stands last, next to the question: of 24 questions of XQuAD, SmolLM2-135M answered 6 so, and 1
with the best source first; sources in tags were sometimes repeated as the answer, sources under headings never.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ragmesh.inference.port import LanguageModel, LanguageModelInfo, Message
from svc_query.condense import Speaker, Turn
from svc_query.plain import plain
from svc_query.sentences import Measure, excerpt
from svc_query.sources import Source
from svc_query.wording import wording_for

CONTEXT_SHARE = (
    0.4  # of the model's context, for the whole prompt, where the model does not say what is good for it
)
SHARE_MAX = 0.5  # whatever it says: the answer may take the other half
SOURCE_MIN = 40  # tokens; less of a source says nothing
QUESTION_SHARE = 0.5  # of the prompt, at most
HISTORY_SHARE = 0.2  # likewise
INSTRUCTION_SHARE = 0.15  # likewise
BETWEEN = "\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads."""

    messages: tuple[Message, ...]
    sources: int  # how many of the passages, from the first, are in it
    tokens: int  # in all


def pack(
    question: str,
    passages: Sequence[Source],
    llm: LanguageModel,
    *,
    history: Sequence[Turn] = (),
    instruction: str = "",
) -> Prompt:
    """The prompt for a question. Passages that don't fit whole are cut to sentences about the question.

    Of a conversation the newest turns are in it, as many as fit into a share of the budget.
    """
    most, tokens = budget(llm.info), llm.tokens
    words = wording_for(question)
    ask = words.ask.format(question=tokens.cut(plain(question), int(most * QUESTION_SHARE)))
    wish = tokens.cut(plain(instruction), int(most * INSTRUCTION_SHARE))
    before = (_system(words.instruction, wish), *_said(history, int(most * HISTORY_SHARE), tokens))

    def of(sources: Sequence[str]) -> Prompt:
        messages = (*before, Message("user", BETWEEN.join([*reversed(sources), ask])))
        return Prompt(messages, len(sources), llm.prompt_tokens(messages))

    room = most - of([]).tokens
    packed = of(_sources(question, passages, room, tokens))
    while packed.tokens > most and packed.sources:  # parts are counted alone, and may be more when they are joined
        room -= packed.tokens - most
        packed = of(_sources(question, passages, room, tokens))
    return packed


def budget(model: LanguageModelInfo) -> int:
    """Tokens that a prompt may have."""
    wanted = model.prompt_tokens or int(model.context_length * CONTEXT_SHARE)
    return min(wanted, int(model.context_length * SHARE_MAX))


def _system(task: str, wish: str) -> Message:
    return Message("system", f"{task}\n{wish}" if wish else task)


def _said(history: Sequence[Turn], room: int, measure: Measure) -> tuple[Message, ...]:
    """The newest turns that fit whole, from a question on: a conversation does not begin with an answer."""
    kept: list[Message] = []
    for turn in reversed(history):
        message = Message(turn.speaker, plain(turn.text))
        room -= measure.count(message.content)
        if room < 0:
            break
        kept.append(message)
    while kept and kept[-1].role != Speaker.USER:
        kept.pop()
    return tuple(reversed(kept))


def _sources(question: str, passages: Sequence[Source], room: int, measure: Measure) -> list[str]:
    """As many passages as get enough, from the first; what one leaves of the room, the next ones get."""
    sources: list[str] = []
    for number, passage in enumerate(passages, start=1):
        if room < SOURCE_MIN:
            break
        sources.append(_quoted(number, passage, question, room, measure))
        room -= measure.count(sources[-1] + BETWEEN)
    return sources


def _quoted(number: int, source: Source, question: str, room: int, measure: Measure) -> str:
    """A source as the model reads it, in at most so much room."""
    chunk = source.chunk
    page = f", p. {chunk.page}" if chunk.page else ""
    head = f"## [{number}] {measure.cut(plain(chunk.title), room // 4)}{page}\n"
    rest = room - measure.count(head)
    return head + excerpt(plain(chunk.text), question, rest, measure, best_at=source.found_at)
