"""Which language a person reads, and the catalogue's sentences in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kyoyo import messages_en, messages_ja

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": messages_en.MESSAGES, "ja": messages_ja.MESSAGES}


def language_of(environment: Mapping[str, str]) -> str:
    """KYOYO_LANG, else the first of LC_ALL, LC_MESSAGES, LANG that is set: Japanese or, for all else, English."""
    for name in ("KYOYO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if chosen := environment.get(name):
            return "ja" if chosen.lower().startswith("ja") else "en"
    return "en"


@dataclass(frozen=True, slots=True)
class Texts:
    """Sentences by key in one language."""

    language: str

    def __call__(self, key: str, **facts: object) -> str:
        """The sentence with its facts filled in. KeyError for a key that no catalogue has."""
        return LANGUAGES[self.language][key].format(**facts)

    def get(self, key: str, default: str) -> str:
        """The sentence, or the default: for words that the server may have added since."""
        return LANGUAGES[self.language].get(key, default)
