"""The prompt: numbered sources and the question, within a budget.

A prompt is kept much shorter than the model's context. On a CPU each of its tokens delays the first word of the
answer by milliseconds, and small models lose the thread in long ones. Sources are quotations, each under a heading,
and nothing inside can pass for such a heading, a citation mark or a token of the chat template.

Tried with SmolLM2-135M on XQuAD: with the best source last, next to the question, 6 of 24 answers were right, with
the best source first 1; sources in tags were sometimes repeated as the answer, sources under headings never.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ragmesh.chunk import Chunk
from ragmesh.inference.port import LanguageModelInfo, Message
from svc_query.condense import Speaker, Turn
from svc_query.plain import plain
from svc_query.sentences import cut, excerpt, size
from svc_query.wording import wording_for

CONTEXT_SHARE = 0.4  # of the model's context, for the whole prompt
SOURCE_MIN_BYTES = 200  # less of a source says nothing
QUESTION_SHARE = 0.5  # of the prompt, at most
HISTORY_SHARE = 0.2  # likewise
INSTRUCTION_SHARE = 0.15  # likewise
TEMPLATE_BYTES = 64  # what the chat template adds around the messages


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads."""

    messages: tuple[Message, ...]
    sources: int  # how many of the passages, from the first, are in it


def pack(
    question: str,
    passages: Sequence[Chunk],
    budget_bytes: int,
    *,
    history: Sequence[Turn] = (),
    instruction: str = "",
) -> Prompt:
    """The prompt for a question. Passages that don't fit whole are cut to sentences about the question.

    Of a conversation the newest turns are in it, as many as fit into a share of the budget.
    """
    words = wording_for(question)
    ask = words.ask.format(question=cut(plain(question), int(budget_bytes * QUESTION_SHARE)))
    system = _system(words.instruction, cut(plain(instruction), int(budget_bytes * INSTRUCTION_SHARE)))
    said = _said(history, int(budget_bytes * HISTORY_SHARE))
    taken = sum(size(message.content) for message in (system, *said))
    room = budget_bytes - taken - size(ask) - TEMPLATE_BYTES
    sources = [
        source(number, chunk, question, share)
        for number, (chunk, share) in enumerate(zip(passages, _shares(passages, room), strict=False), start=1)
    ]
    content = "\n\n".join([*reversed(sources), ask])
    return Prompt((system, *said, Message("user", content)), len(sources))


def _system(task: str, wish: str) -> Message:
    return Message("system", f"{task}\n{wish}" if wish else task)


def _said(history: Sequence[Turn], room_bytes: int) -> tuple[Message, ...]:
    """The newest turns that fit whole, from a question on: a conversation does not begin with an answer."""
    kept: list[Message] = []
    for turn in reversed(history):
        message = Message(turn.speaker, plain(turn.text))
        room_bytes -= size(message.content)
        if room_bytes < 0:
            break
        kept.append(message)
    while kept and kept[-1].role != Speaker.USER:
        kept.pop()
    return tuple(reversed(kept))


def budget(model: LanguageModelInfo) -> int:
    """Bytes that a prompt may have."""
    return int(model.context_length * CONTEXT_SHARE * model.bytes_per_token)


def source(number: int, chunk: Chunk, question: str, room_bytes: int) -> str:
    """A passage as the model reads it, in at most `room_bytes`."""
    page = f", p. {chunk.page}" if chunk.page else ""
    head = f"## [{number}] {cut(plain(chunk.title), room_bytes // 4)}{page}\n"
    return head + excerpt(plain(chunk.text), question, room_bytes - size(head))


def _shares(passages: Sequence[Chunk], room_bytes: int) -> list[int]:
    """Bytes for each passage from the first, as many as get enough; what a short one leaves, the next ones get."""
    count = max(1, min(len(passages), room_bytes // SOURCE_MIN_BYTES))
    shares: list[int] = []
    for left, chunk in zip(range(count, 0, -1), passages, strict=False):
        fair = max(room_bytes // left, SOURCE_MIN_BYTES)
        shares.append(min(fair, size(chunk.text) + SOURCE_MIN_BYTES))
        room_bytes -= shares[-1]
    return shares
