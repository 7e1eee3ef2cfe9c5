"""Two languages: which one to answer in, and the sentences of each.

Sentences live in locale/<language>/*.toml under dotted keys; tests prove that both languages have the same keys and
that no page has words of its own. A missing key is a fault of ours and raises.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from babel import Locale

LOCALE = Path(__file__).parent / "locale"


class Language(StrEnum):
    """The value is the path's first part and the HTML lang."""

    JA = "ja"
    EN = "en"

    @property
    def babel(self) -> Locale:
        """Locale for numbers and dates."""
        return Locale.parse("ja_JP" if self is Language.JA else "en_GB")


def negotiate(accept_language: str) -> Language:
    """RFC 9110 §12.5.4: the better liked of our two languages; Japanese on a tie, English without either."""
    liked = dict.fromkeys(Language, 0.0)
    for part in accept_language.split(","):
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().split("-")[0]
        if primary in liked:
            language = Language(primary)
            liked[language] = max(liked[language], _quality(parameters))
    return Language.JA if liked[Language.JA] > 0 and liked[Language.JA] >= liked[Language.EN] else Language.EN


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All sentences of one language by key."""

    language: Language
    texts: Mapping[str, str]

    def text(self, key: str, **facts: object) -> str:
        """The sentence of a key with its facts filled in. KeyError: no such key, or a fact is missing."""
        return self.texts[key].format_map(facts) if facts else self.texts[key]

    def word(self, kind: str, value: object) -> str:
        """What a machine word is called (kind 'state', value 'QUEUED'); an unknown one is shown as it is."""
        return self.texts.get(f"{kind}.{value}", str(value))


@cache
def catalogue(language: Language) -> Catalogue:
    """The catalogue of a language, read once."""
    texts: dict[str, str] = {}
    for path in sorted((LOCALE / language.value).glob("*.toml")):
        texts |= dict(_flatten("", tomllib.loads(path.read_text(encoding="utf-8"))))
    return Catalogue(language, texts)


def _flatten(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", str(value)
