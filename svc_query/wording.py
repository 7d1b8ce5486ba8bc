"""What the service itself says, to the model and to people, in their language."""

from dataclasses import dataclass

from svc_query.language import readable_share


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts in one language."""

    instruction: str  # tells the model its task
    ask: str  # closes the prompt, with {question}
    nothing_found: str  # the whole answer where no source was found
    rewrite: str  # asks the model for a question that stands alone, with {history} and {question}
    untraced: str  # opens a quotation behind an answer that no passage supports
    quoting: str  # opens an answer of quotations, where the model does not speak the language
    quoting_others: str  # likewise, where the model can't read what was found


ENGLISH = Wording(
    instruction="Answer from the quoted text, in one or two short sentences.",
    ask="Based on the text above, answer in one sentence: {question}",
    nothing_found="Nothing in these documents answers this question.",
    rewrite=(
        "Here is a conversation:\n{history}\n\nRewrite the next question so that it can be understood without the"
        " conversation. Write the question only.\nNext question: {question}\nRewritten question:"
    ),
    untraced="This could not be traced to the documents. The closest passage says:",
    quoting="The language model does not speak this language. The closest passages say:",
    quoting_others=(
        "What was found is in a language that the language model does not read. In their own words, the closest"
        " passages say:"
    ),
)
CHINESE = Wording(
    instruction="根据引用的资料，用一两句简短的中文回答问题。",
    ask="请根据以上资料回答：{question}",
    nothing_found="这些文档中没有找到能回答该问题的内容。",
    rewrite=(
        "以下是一段对话：\n{history}\n\n请改写下一个问题，使其脱离对话也能看懂。只写出问题。\n"
        "下一个问题：{question}\n改写后的问题："
    ),
    untraced="以上内容未能在文档中找到依据。最相关的原文：",
    quoting="当前的语言模型不支持中文，以下是文档中最相关的原文：",
    quoting_others="当前的语言模型无法阅读所找到的内容的语言，以下是最相关的原文：",
)
MOSTLY = 0.5


def wording_for(text: str) -> Wording:
    """The texts in the language that a text is mostly written in; in English where there are none."""
    return CHINESE if readable_share(text, frozenset({"zh"})) > MOSTLY else ENGLISH
