"""How much of a question the embedding model can read, told by its script.

>>> readable_share("谁赢了 Super Bowl?", frozenset({"en"}))
0.5
"""

import unicodedata
from functools import lru_cache

_SCRIPTS_OF = {
    "ar": {"ARABIC"},
    "bg": {"CYRILLIC"},
    "el": {"GREEK"},
    "fa": {"ARABIC"},
    "he": {"HEBREW"},
    "hi": {"DEVANAGARI"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA"},
    "ko": {"HANGUL", "CJK"},
    "ru": {"CYRILLIC"},
    "th": {"THAI"},
    "uk": {"CYRILLIC"},
    "zh": {"CJK"},
}
_LATIN = frozenset({"LATIN"})


def readable_share(text: str, languages: frozenset[str]) -> float:
    """The share of a text's letters in scripts of these languages, 0 to 1; 1 for a text without letters.

    Letters count by their length in UTF-8, so that a Han character, which says as much as a few Latin letters,
    weighs as much as three. Languages of one script are not told apart: a question in Spanish, put to an English
    model, is at least spelled in letters that it knows.
    """
    letters = [(script_of(letter), len(letter.encode())) for letter in text if letter.isalpha()]
    if not letters:
        return 1.0
    scripts = frozenset().union(*(_SCRIPTS_OF.get(language, _LATIN) for language in languages))
    return sum(size for script, size in letters if script in scripts) / sum(size for _, size in letters)


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name; compatibility forms as what they stand for."""
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "UNKNOWN")
    return name.split(" ", 1)[0]
