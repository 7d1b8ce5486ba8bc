"""What a text is about, cheaply: its content words, and for Chinese its pairs of characters."""

import re

LATIN = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:['’][^\W\d_\u3400-\u9fff]+)?")
HAN = re.compile(r"[\u3400-\u9fff]+")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
ENDINGS = ("'s", "’s", "ing", "ed", "es", "ly", "s")
STEM_MIN = 4

_COMMON = (
    "a about above according after again all also an and any are as at be because been before being below between"
    " both but by can could did do does doing during each few for from further had has have having he her here"
    " hers him his how however i if in into is it its just may might more most must my no nor not now of off on"
    " once only or other our out over own provided same she should sentence so some source sources such text than"
    " that the their them then there these they this those through to too under until up upon us very was we were"
    " what when where which while who whom why will with would yes you your"
)
STOP_WORDS = frozenset(_COMMON.split())
# Characters that only hold a Chinese sentence together: a pair with one of them says nothing.
STOP_HAN = frozenset("的了是在和与及或也都就而着吗呢吧啊这那其之于为被把从到对个们有不")


def terms(text: str) -> frozenset[str]:
    """Stems of content words and pairs of Han characters, lower case; numbers stand apart (`numbers`)."""
    words = (word.lower() for word in LATIN.findall(text))
    pairs = (run[i : i + 2] for run in HAN.findall(text) for i in range(len(run) - 1))
    return frozenset(
        {stem(word) for word in words if len(word) > 1 and word not in STOP_WORDS}
        | {pair for pair in pairs if not STOP_HAN.intersection(pair)}
    )


def numbers(text: str) -> frozenset[str]:
    """Every number in a text, without separators of thousands."""
    return frozenset(number.replace(",", "").rstrip(".") for number in NUMBER.findall(text))


def stem(word: str) -> str:
    """A word without its commonest English endings, so that "generates" meets "generated"."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= STEM_MIN:
            return word.removesuffix(ending)
    return word
