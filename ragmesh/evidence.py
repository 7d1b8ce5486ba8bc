"""Whether a passage supports a sentence, told by the words and numbers that they share.

>>> passage = Evidence.of("A hotel may cost up to 140 euros a night.")
>>> passage.supports(Evidence.of("You may pay 140 euros for a hotel."), asked=frozenset())
True
"""

from dataclasses import dataclass

from ragmesh.terms import numbers, terms

SUPPORT_MIN = 0.5  # share of a sentence's terms that a passage must hold
TOLD_MIN = 1 / 3  # likewise of those that the question did not have: a model says them in words of its own


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a text says, as far as words tell."""

    terms: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Evidence":
        return cls(terms(text), numbers(text))

    def support(self, claim: "Evidence", asked: frozenset[str]) -> float:
        """How much of a claim stands here, 0 to 1; words that the question already had prove nothing alone."""
        told = claim.terms - asked
        tells_nothing = not told and not claim.numbers
        if tells_nothing or not claim.numbers <= self.numbers or _share(told, self.terms) < TOLD_MIN:
            return 0.0
        return _share(claim.terms, self.terms)

    def supports(self, claim: "Evidence", asked: frozenset[str]) -> bool:
        """Whether that is enough."""
        return self.support(claim, asked) >= SUPPORT_MIN


def _share(part: frozenset[str], whole: frozenset[str]) -> float:
    return len(part & whole) / len(part) if part else 1.0
