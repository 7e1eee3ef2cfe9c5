"""Names of files that strangers chose: which become paths, and which of them a pattern means. Pure.

A name is relative, with "/" between parts. Whoever writes or reads by one checks it here again, whoever checked before.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_NAME_BYTES = 900
MAX_PART_BYTES = 200
"""Of what stands between two slashes: file systems take 255."""
MAX_PATTERN_CHARACTERS = 200
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def problem_of(name: str) -> str | None:
    """A word for what is wrong with a name; None: nothing. A name is in NFC: what looks the same is the same."""
    if any(unicodedata.category(letter) in _HIDDEN for letter in name):
        return "control_character"  # lone surrogates, too: what follows can encode it
    if unicodedata.normalize("NFC", name) != name:
        return "form"
    if len(name.encode()) > MAX_NAME_BYTES:
        return "too_long"
    if "\\" in name or name[:1] in {"", "/"}:
        return {"": "empty", "/": "absolute"}.get(name[:1], "backslash")
    return next((problem for part in name.split("/") if (problem := _problem_of_part(part)) is not None), None)


def _problem_of_part(part: str) -> str | None:
    if not part:
        return "empty_part"
    if part in {".", ".."}:
        return "dots"
    if part != part.strip():
        return "space_at_edge"
    return "part_too_long" if len(part.encode()) > MAX_PART_BYTES else None


def problem_of_pattern(pattern: str) -> str | None:
    """A word for what is wrong with a pattern such as '*.pt' or 'logs/**'; None: nothing."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return "too_long"
    return problem_of(unicodedata.normalize("NFC", pattern))


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means a name: `*` and `?` within a part, `**` over parts. A leading dot must be written."""
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [_part(part) for part in pattern.split("/")]
    text = "/".join(parts).replace("(?:DEEP)/", "(?:(?:(?!\\.)[^/]+/)*)").replace("/(?:DEEP)", "(?:/(?!\\.)[^/]+)+")
    return re.compile(text.replace("(?:DEEP)", "(?:(?!\\.)[^/]+)(?:/(?!\\.)[^/]+)*"))


def _part(part: str) -> str:
    if part == "**":
        return "(?:DEEP)"
    shown = "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in re.sub(r"\*+", "*", part))
    return ("(?!\\.)" if part[:1] in {"*", "?"} else "") + shown
