from __future__ import annotations

from infra.refusal import Refusal


class TooMany(Refusal):
    code = "too-many"

    def __init__(self, *, asked: int, allowed: int) -> None:
        super().__init__(asked=asked, allowed=allowed)


def test_a_refusal_carries_facts_and_reads_as_code_and_facts() -> None:
    refusal = TooMany(asked=9, allowed=8)
    assert refusal.facts == {"asked": 9, "allowed": 8}
    assert str(refusal) == "too-many(asked=9, allowed=8)"


def test_what_it_quotes_can_always_be_written_in_an_answer() -> None:
    refusal = Refusal.__new__(TooMany)
    Refusal.__init__(refusal, slug="a\ud800b", scopes=["日本", "\udfff"], limit=3)
    assert refusal.facts == {"slug": "a?b", "scopes": ["日本", "?"], "limit": 3}
