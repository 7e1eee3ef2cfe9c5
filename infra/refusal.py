"""A refusal: an expected "no" that a person must be able to understand and act on."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """Base of every named refusal, in every package.

    A subclass carries facts as keyword arguments (numbers, ids, names), never a sentence: the portal maps the class to
    an HTTP status, a stable code and a sentence in Japanese and English (portal/refusals.py). Facts must be
    JSON-serialisable (int, str, bool, list of them) and safe to show to the person who is refused.
    """

    code: ClassVar[str]
    """Stable code in kebab-case, part of the API: never changes once published."""

    def __init__(self, **facts: object) -> None:
        super().__init__(self.code, facts)
        self.facts = facts

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.code}({told})"
