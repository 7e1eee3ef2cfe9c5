"""The names of objects: which there may be. Pure. A key is no path of the store, but one of jobs and clients."""

from __future__ import annotations

import unicodedata

from hpc_adapters.filenames import MAX_NAME_BYTES, problem_of
from portal.data.errors import InvalidKey, KeyReserved

MAX_KEY_BYTES = MAX_NAME_BYTES
JOBS = "jobs/"
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


def shown(text: str) -> str:
    """A stranger's text as it may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN_CHARACTERS])
