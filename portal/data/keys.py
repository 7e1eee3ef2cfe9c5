"""The names of objects: which there may be. Pure. A key is no path of the store, but one of jobs and clients."""

from __future__ import annotations

import unicodedata

from portal.data.errors import InvalidKey, KeyReserved

MAX_KEY_BYTES = 900
MAX_PART_BYTES = 200
"""Of what stands between two slashes: file systems take 255."""
JOBS = "jobs/"
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_SHOWN_CHARACTERS = 80


def clean_key(key: str) -> str:
    """The key in NFC: what looks the same is the same. InvalidKey."""
    clean = unicodedata.normalize("NFC", key)
    problem = problem_of(clean)
    if problem is not None:
        raise InvalidKey(key=shown(key), problem=problem)
    return clean


def own_key(key: str) -> str:
    """A key that a person may write to. InvalidKey, KeyReserved."""
    clean = clean_key(key)
    if clean.startswith(JOBS) or clean + "/" == JOBS:
        raise KeyReserved(key=shown(clean))
    return clean


def problem_of(key: str) -> str | None:
    """A word for what is wrong with a key in NFC; None: nothing."""
    if not key:
        return "empty"
    if any(unicodedata.category(letter) in _HIDDEN for letter in key):
        return "control_character"  # lone surrogates, too: what follows can encode it
    if len(key.encode()) > MAX_KEY_BYTES:
        return "too_long"
    if "\\" in key:
        return "backslash"
    if key.startswith("/"):
        return "absolute"
    return next((problem for part in key.split("/") if (problem := _problem_of_part(part)) is not None), None)


def _problem_of_part(part: str) -> str | None:
    if not part:
        return "empty_part"
    if part in {".", ".."}:
        return "dots"
    if part != part.strip():
        return "space_at_edge"
    return "part_too_long" if len(part.encode()) > MAX_PART_BYTES else None


def shown(text: str) -> str:
    """A stranger's text as it may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN_CHARACTERS])
