"""Hiding a member's secrets in what a job printed, without keeping them. Pure.

Kept is, for each secret, its length, a rolling hash and a salted digest: enough to know it again, not to read it. What
is found becomes stars of the same length, so that byte offsets stay what they were.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

SHORTEST: Final = 6
"""Shorter ones would be found everywhere."""
_BASE: Final = 257
_PRIME: Final = 2**61 - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """By which a secret is known again."""

    length: int
    rolling: int
    digest: str
    has_newline: bool


@dataclass(frozen=True, slots=True)
class Read:
    """Bytes of a file from an offset on. `size`: of the whole file as it is now."""

    data: bytes
    size: int


def marks_of(secrets: Iterable[str], *, salt: bytes) -> list[Mark]:
    """Each value once; short ones are left out."""
    values = {value.encode() for value in secrets}
    return [
        Mark(len(value), _roll(value), _digest(value, salt), b"\n" in value)
        for value in sorted(values)
        if len(value) >= SHORTEST
    ]


def as_json(marks: Sequence[Mark]) -> bytes:
    """As it is kept."""
    return json.dumps([asdict(mark) for mark in marks]).encode()


def from_json(content: bytes) -> list[Mark]:
    """What `as_json` wrote; nothing for nothing."""
    return [Mark(**each) for each in json.loads(content)] if content else []


def read_masked(
    read: Callable[[int, int], Read | None],
    marks: Sequence[Mark],
    *,
    salt: bytes,
    offset: int,
    limit: int,
    is_whole: bool,
) -> Read | None:
    """What `read` gives for an offset and a limit, secrets hidden. Its size is of what may be told by now.

    What may be the beginning of a secret is told only with what follows it, or when the file is whole and ends there.
    """
    side = around(marks)
    begin = max(0, offset - side)
    before = offset - begin
    wide = read(begin, before + limit + side)
    if wide is None or not marks:
        return wide
    hidden = masked(wide.data, marks, salt=salt)
    is_last = begin + len(wide.data) >= wide.size
    held = held_back(wide.data, marks) if is_last and not is_whole else 0
    return Read(hidden[: len(hidden) - held][before : before + limit], wide.size - held)


def masked(data: bytes, marks: Sequence[Mark], *, salt: bytes) -> bytes:
    """The same bytes, each secret in them as stars."""
    found = bytearray(data)
    for mark in marks:
        for start in _places(data, mark, salt):
            found[start : start + mark.length] = b"*" * mark.length
    return bytes(found)


def around(marks: Sequence[Mark]) -> int:
    """So many bytes on each side decide whether a byte is part of a secret."""
    return max((mark.length for mark in marks), default=1) - 1


def held_back(tail: bytes, marks: Sequence[Mark]) -> int:
    """How many of the last bytes may be the beginning of a secret whose rest is not written yet."""
    longest = 0
    for mark in marks:
        near = tail[-(mark.length - 1) :]
        longest = max(longest, len(near) if mark.has_newline else len(near) - (near.rfind(b"\n") + 1))
    return longest


def _places(data: bytes, mark: Mark, salt: bytes) -> Iterator[int]:
    length = mark.length
    if len(data) < length:
        return
    rolling, leaving = _roll(data[:length]), pow(_BASE, length - 1, _PRIME)
    for start in range(len(data) - length + 1):
        if rolling == mark.rolling and hmac.compare_digest(_digest(data[start : start + length], salt), mark.digest):
            yield start
        if start + length < len(data):
            rolling = ((rolling - data[start] * leaving) * _BASE + data[start + length]) % _PRIME


def _roll(data: bytes) -> int:
    rolling = 0
    for byte in data:
        rolling = (rolling * _BASE + byte) % _PRIME
    return rolling


def _digest(value: bytes, salt: bytes) -> str:
    return hmac.new(salt, value, "sha256").hexdigest()
