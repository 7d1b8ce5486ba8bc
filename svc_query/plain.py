"""Texts of others in a prompt: nothing in them can pass for a part of the prompt's form."""

import re

_CONTROL = re.compile(
    r"<\|[^<>]{0,40}\|>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]|^[ \t]*#+", re.MULTILINE
)
_MARK = re.compile(r"\[(\d{1,3})\]")


def plain(text: str) -> str:
    """A text without tokens of a chat template and headings; its own marks, like [12], become (12)."""
    return _MARK.sub(r"(\1)", _CONTROL.sub(" ", text))
