"""How a file is cut into parts, and what its checksum is. Pure; client/kyoyo/parts.py computes the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PARTS = 10_000  # as S3
SMALLEST_PART_BYTES = 16 * 2**20
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A file of `size` bytes in parts of `part_bytes`; the last may be shorter. Parts are numbered from 1."""

    size: int
    part_bytes: int

    @property
    def count(self) -> int:
        """An empty file has one part, without a byte."""
        return max(1, -(-self.size // self.part_bytes))

    def size_of(self, number: int) -> int:
        """Bytes of a part."""
        return min(self.part_bytes, self.size - (number - 1) * self.part_bytes)


def shape_of(size: int) -> Shape:
    """How a file of so many bytes is cut: 16 MiB, or whole MiB so that 10,000 parts are enough."""
    least = -(-size // MAX_PARTS)
    return Shape(size=size, part_bytes=max(SMALLEST_PART_BYTES, -(-least // 2**20) * 2**20))


def checksum_of(digests: Sequence[bytes]) -> str:
    """Of one part: its SHA-256 in hex. Of several: the SHA-256 of their SHA-256s and their number, as S3 says it."""
    if len(digests) == 1:
        return digests[0].hex()
    return f"{hashlib.sha256(b''.join(digests)).hexdigest()}-{len(digests)}"


def digests_of(joined: bytes) -> list[bytes]:
    """The parts' SHA-256s out of their concatenation."""
    return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]
