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
        told = {name: _writable(value) for name, value in facts.items()}
        super().__init__(self.code, told)
        self.facts = told

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.code}({told})"


def _writable(value: object) -> object:
    """A fact may quote what somebody sent; half of a surrogate pair, which no answer can hold, becomes "?"."""
    if isinstance(value, str):
        return value if _encodes(value) else value.encode("utf-8", "replace").decode()
    return [_writable(each) for each in value] if isinstance(value, list) else value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
