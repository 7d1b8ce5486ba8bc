"""Whether a model reads a text, told by its script.

>>> readable_share("谁赢了 Super Bowl?", frozenset({"en"}))
0.5
"""

from ragmesh.language import script_shares

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
    """The share of a text in scripts of these languages, 0 to 1; 1 for a text without letters.

    Languages of one script are not told apart: a question in Spanish, put to an English model, is at least spelled
    in letters that it knows.
    """
    scripts = frozenset[str]().union(*(_SCRIPTS_OF.get(language, _LATIN) for language in languages))
    shares = script_shares(text)
    return sum(share for script, share in shares.items() if script in scripts) if shares else 1.0


def likeness(text: str, other: str) -> float:
    """How much of one script two texts are, 0 to 1: only then can they have words in common."""
    shares, others = script_shares(text), script_shares(other)
    return sum(min(share, others.get(script, 0.0)) for script, share in shares.items()) if shares else 1.0
