"""What the service itself says, to the model and to people, in their language."""

from dataclasses import dataclass

from svc_query.language import readable_share


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts in one language."""

    instruction: str  # tells the model its task
    ask: str  # closes the prompt, with {question}
    nothing_found: str  # the whole answer where no source was found
    quoting: str  # opens an answer of quotations, where the model does not speak the language


ENGLISH = Wording(
    instruction="Answer from the quoted text, in one or two short sentences.",
    ask="Based on the text above, answer in one sentence: {question}",
    nothing_found="Nothing in these documents answers this question.",
    quoting="The language model does not speak this language. The closest passages say:",
)
CHINESE = Wording(
    instruction="根据引用的资料，用一两句简短的中文回答问题。",
    ask="请根据以上资料回答：{question}",
    nothing_found="这些文档中没有找到能回答该问题的内容。",
    quoting="当前的语言模型不支持中文，以下是文档中最相关的原文：",
)
MOSTLY = 0.5


def wording_for(text: str) -> Wording:
    """The texts in the language that a text is mostly written in; in English where there are none."""
    return CHINESE if readable_share(text, frozenset({"zh"})) > MOSTLY else ENGLISH
