"""`--array`: 1-100%10, 0,6,16-32, 0-15:4. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kyoyo.errors import UsageError

MAX_TASKS = 1_000
"""More the portal refuses; known here so that nobody's 0-4000000000 is ever written out."""
_RANGE = re.compile(r"(?P<first>\d{1,10})(?:-(?P<last>\d{1,10})(?::(?P<step>\d{1,10}))?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Array:
    """The tasks by their index, ascending; at most so many of them at a time."""

    indices: Sequence[int]
    max_running: int | None = None


def array_of(text: str) -> Array:
    """The tasks that an array asks for. UsageError."""
    listed, percent, most = text.strip().partition("%")
    limit = _limit(text, most) if percent else None
    ranges = [_range(text, part) for part in listed.split(",")]
    if sum(map(len, ranges)) > MAX_TASKS:
        raise UsageError(key="wrong.array_large", text=text, limit=f"{MAX_TASKS:,}")
    return Array(tuple(sorted({index for each in ranges for index in each})), limit)


def _limit(text: str, most: str) -> int | None:
    if not (most.isascii() and most.isdecimal() and len(most) < 10):  # noqa: PLR2004  digits
        raise UsageError(key="wrong.array", text=repr(text))
    return int(most) or None  # sbatch's own: %0 is no limit


def _range(text: str, part: str) -> range:
    found = _RANGE.fullmatch(part)
    if found is None:
        raise UsageError(key="wrong.array", text=repr(text))
    first, last, step = int(found["first"]), int(found["last"] or found["first"]), int(found["step"] or 1)
    if last < first or step == 0:
        raise UsageError(key="wrong.array", text=repr(text))
    return range(first, last + 1, step)
