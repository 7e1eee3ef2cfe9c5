"""The organisations' store as the loops need it: inputs of jobs read, their outputs kept."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn, Lease, Pool, transaction
from portal.data import service, store
from portal.data.errors import ChecksumWrong, ObjectNotFound, ObjectTooLarge, StoreAway, UploadNotFound
from portal.data.model import Content, StoredObject, Upload
from portal.data.parts import shape_of
from portal.data.service import DataStore
from portal.data.storage import ContentGone, PartRefused, StorageAway
from scheduler.files import Changed, ContentLost, FrozenInput, InputWish, Reader, ShelfAway

_PIECE_BYTES = 2**20


class JobShelf:
    """Implements `scheduler.files.Shelf`. pool: as kyoyo_worker."""

    def __init__(self, data: DataStore, pool: Pool, *, new_id: Callable[[], UUID]) -> None:
        self._data, self._pool, self._new_id = data, pool, new_id

    async def read(self, organisation_id: UUID, object_id: UUID, checksum: str) -> AsyncGenerator[bytes, None]:
        async with transaction(self._pool) as conn:
            found = await store.by_id(conn, organisation_id, object_id)
        if found is None:
            raise ContentLost("input-gone")
        if found.checksum != checksum:
            raise ContentLost("input-damaged")
        try:
            for number in range(1, found.content.shape.count + 1):
                async for piece in self._part(found, number):
                    yield piece
        except ContentGone:
            raise ContentLost("input-gone") from None
        except StorageAway as away:
            raise ShelfAway("object-store-unavailable") from away

    async def _part(self, found: StoredObject, number: int) -> AsyncGenerator[bytes, None]:
        """Checked when its last byte has gone: the file of the job is not whole before that."""
        shape, digest = found.content.shape, hashlib.sha256()
        first, length = (number - 1) * shape.part_bytes, shape.size_of(number)
        async for piece in self._data.storage.read(found.blob, found.content, offset=first, length=length):
            digest.update(piece)
            yield piece
        if digest.digest() != found.content.digests[number - 1]:
            raise ContentLost("input-damaged")

    async def freeze(self, organisation_id: UUID, wishes: Sequence[InputWish]) -> Sequence[FrozenInput]:
        try:
            async with transaction(self._pool) as conn:
                return await service.freeze(conn, organisation_id, wishes)
        except ObjectNotFound:
            raise ContentLost("input-gone") from None

    async def keep(
        self, owner: tuple[UUID, UUID], key: str, *, size: int, read: Reader, lease: Lease | None, now: datetime
    ) -> str:
        if size > self._data.limits.object_bytes:
            raise ObjectTooLarge(size_bytes=size, limit_bytes=self._data.limits.object_bytes)
        shape = shape_of(size)
        digests = [
            hashlib.sha256(await _part_of(read, shape.part_bytes, number, shape.size_of(number))).digest()
            for number in range(1, shape.count + 1)
        ]
        content = Content(shape=shape, part_sha256=b"".join(digests))

        def begin() -> AbstractAsyncContextManager[Conn]:
            return transaction(self._pool, lease=lease)

        with _away():
            known = await service.announce(
                self._data,
                begin,
                organisation_id=owner[0],
                person_id=owner[1],
                key=key,
                content=content,
                upload_id=self._new_id(),
                now=now,
            )
            if isinstance(known, Upload):
                await self._send(known, read)
                known = await service.complete(self._data, begin, known, now=now)
        return known.checksum

    async def _send(self, upload: Upload, read: Reader) -> None:
        shape, digests = upload.content.shape, upload.content.digests
        here = set(await service.arrived(self._data, upload))
        for number in range(1, shape.count + 1):
            if number not in here:
                data = await _part_of(read, shape.part_bytes, number, shape.size_of(number))
                if hashlib.sha256(data).digest() != digests[number - 1]:
                    raise Changed
                await self._data.storage.put_part(upload.blob, upload.token, number, data, digests[number - 1])


async def _part_of(read: Reader, part_bytes: int, number: int, size: int) -> bytes:
    """One part in memory. Changed: the file has become shorter."""
    held, first = bytearray(), (number - 1) * part_bytes
    while len(held) < size:
        piece = await read(first + len(held), min(_PIECE_BYTES, size - len(held)))
        if not piece:
            raise Changed
        held += piece
    return bytes(held)


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (StoreAway, StorageAway, ContentGone, UploadNotFound) as away:
        raise ShelfAway("object-store-unavailable") from away
    except (PartRefused, ChecksumWrong) as wrong:
        raise Changed from wrong
