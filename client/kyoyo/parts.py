"""How a file is cut into parts, and what its checksum is: the portal cuts and computes the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_PARTS = 10_000
SMALLEST_PART_BYTES = 16 * 2**20
PIECE_BYTES = 2**20

Moved = Callable[[int], None]
"""Told how many bytes more have been dealt with."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A file of `size` bytes in parts of `part_bytes`, numbered from 1."""

    size: int
    part_bytes: int

    @property
    def count(self) -> int:
        """An empty file has one part, without a byte."""
        return max(1, -(-self.size // self.part_bytes))

    def first_of(self, number: int) -> int:
        """Offset of a part."""
        return (number - 1) * self.part_bytes

    def size_of(self, number: int) -> int:
        """Bytes of a part."""
        return min(self.part_bytes, self.size - self.first_of(number))


def shape_of(size: int) -> Shape:
    """16 MiB a part, or whole MiB so that 10,000 are enough."""
    least = -(-size // MAX_PARTS)
    return Shape(size, max(SMALLEST_PART_BYTES, -(-least // 2**20) * 2**20))


def checksum_of(digests: Sequence[bytes]) -> str:
    """Of one part: its SHA-256. Of several: the SHA-256 of their SHA-256s, "-", and their number."""
    if len(digests) == 1:
        return digests[0].hex()
    return f"{hashlib.sha256(b''.join(digests)).hexdigest()}-{len(digests)}"


def pieces(fd: int, shape: Shape, number: int) -> Iterator[bytes]:
    """A part of an open file, piece by piece; ends early where the file has become shorter."""
    at, rest = shape.first_of(number), shape.size_of(number)
    while rest > 0:
        piece = os.pread(fd, min(PIECE_BYTES, rest), at)
        if not piece:
            return
        at, rest = at + len(piece), rest - len(piece)
        yield piece


def digest_of(fd: int, shape: Shape, number: int, moved: Moved) -> bytes:
    """SHA-256 of one part as it is in the file now."""
    digest = hashlib.sha256()
    for piece in pieces(fd, shape, number):
        digest.update(piece)
        moved(len(piece))
    return digest.digest()
