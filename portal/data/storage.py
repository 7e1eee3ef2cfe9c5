"""What a storage can do: parts arrive by signed addresses or from us, become one content in one step, and are read.

A content is addressed by ids (Blob). Nothing of it can be read before complete(). Every call may be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from portal.data.model import Blob, Content


class StorageAway(Exception):
    """The storage does not answer, or has no room: later, perhaps. Nothing visible was done."""


class ContentGone(Exception):
    """There is no such content, or no such upload (any more)."""


class PartRefused(Exception):
    """A part that is not what was announced; nothing of it is kept. The message is a word: 'size' or 'checksum'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a transfer goes, straight and once signed without a token. A path alone is the portal's own."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Storage(Protocol):
    """StorageAway may be raised by each."""

    async def begin(self, blob: Blob) -> str:
        """Make room for an upload; the storage's own word for it."""

    def part_address(self, blob: Blob, token: str, content: Content, number: int, *, life: timedelta) -> Address:
        """Where the client puts this part, and nothing else than this part."""

    async def put_part(self, blob: Blob, token: str, number: int, data: bytes, sha256: bytes) -> None:
        """The same from our own hands. ContentGone, PartRefused."""

    async def arrived(self, blob: Blob, token: str, content: Content) -> Mapping[int, bytes]:
        """The parts that are here, checked and durable: number to SHA-256; all, when complete. ContentGone."""

    async def complete(self, blob: Blob, token: str, content: Content) -> None:
        """All parts become one content, in one step. Again: harmless. ContentGone, PartRefused (it is gone)."""

    async def abort(self, blob: Blob, token: str) -> None:
        """Forget the upload and what it brought. Harmless when there is none."""

    def read_address(self, blob: Blob, content: Content, *, filename: str, life: timedelta) -> Address:
        """Where the client reads it, whole or by Range; as an attachment only."""

    def read(self, blob: Blob, content: Content, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Pieces of a content. ContentGone."""

    async def delete(self, blob: Blob) -> None:
        """Remove a content. Harmless when there is none."""

    async def close(self) -> None:
        """Let go of connections."""
