"""What may be kept, under which name, and when it is there. The storage is asked between transactions, never inside.

An upload is a row before its first byte is sent: its size counts against the quota from then on, so two uploads at
once cannot both take the last of it. An object is a row after its last byte is checked: nobody sees half of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from infra.db.connection import Conn
from portal.data import store
from portal.data.errors import (
    ChecksumWrong,
    ObjectNotFound,
    ObjectTooLarge,
    PartsWrong,
    QuotaExceeded,
    StoreAway,
    TooManyObjects,
    TooManyUploads,
    UploadIncomplete,
    UploadNotFound,
)
from portal.data.keys import clean_key, shown
from portal.data.model import Content, DataLimits, StoredObject, Upload, Usage
from portal.data.parts import DIGEST_BYTES, MAX_PARTS, shape_of
from portal.data.storage import Address, ContentGone, PartRefused, Storage, StorageAway
from scheduler.files import FrozenInput, InputWish

Transaction: TypeAlias = Callable[[], AbstractAsyncContextManager[Conn]]
"""Opens one as whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStore:
    """Where the contents are, and how much anybody may keep."""

    storage: Storage
    limits: DataLimits = field(default_factory=DataLimits)


def content_of(size: int, part_sha256: bytes, limits: DataLimits) -> Content:
    """What was announced, cut as we cut it. ObjectTooLarge, PartsWrong."""
    if size > limits.object_bytes:
        raise ObjectTooLarge(size_bytes=size, limit_bytes=limits.object_bytes)
    shape = shape_of(size)
    if shape.count > MAX_PARTS or len(part_sha256) != shape.count * DIGEST_BYTES:
        raise PartsWrong(problem="count", expected=shape.count)
    return Content(shape=shape, part_sha256=part_sha256)


async def announce(
    data: DataStore,
    transaction: Transaction,
    *,
    organisation_id: UUID,
    person_id: UUID,
    key: str,
    content: Content,
    upload_id: UUID,
    now: datetime,
) -> StoredObject | Upload:
    """A file is to come. The object, when this very content is there; the upload to go on with, when one is open.

    key: clean. QuotaExceeded, TooManyObjects, TooManyUploads, StoreAway.
    """
    async with transaction() as conn:
        await store.lock(conn, organisation_id)
        there = await store.current(conn, organisation_id, key)
        if there is not None and there.checksum == content.checksum and there.size == content.shape.size:
            return there
        upload = await store.same_upload(conn, organisation_id, key, content, now=now)
        if upload is None:
            await _require_room(conn, organisation_id, content, data.limits)
            upload = Upload(
                id=upload_id,
                organisation_id=organisation_id,
                key=key,
                content=content,
                opened_by=person_id,
                token="",
                expires_at=now + data.limits.upload_life,
            )
            await store.insert_upload(conn, upload, now=now)
    return upload if upload.token else await _begun(data, transaction, upload)


async def _require_room(conn: Conn, organisation_id: UUID, content: Content, limits: DataLimits) -> None:
    used = await store.usage(conn, organisation_id)
    if used.used_bytes + content.shape.size > limits.quota_bytes:
        raise QuotaExceeded(needed_bytes=content.shape.size, used_bytes=used.used_bytes, limit_bytes=limits.quota_bytes)
    if used.objects >= limits.objects:
        raise TooManyObjects(limit=limits.objects)
    if await store.open_uploads(conn, organisation_id) >= limits.uploads:
        raise TooManyUploads(limit=limits.uploads)


async def _begun(data: DataStore, transaction: Transaction, upload: Upload) -> Upload:
    """Two that begin the same upload at once: one token holds, the other is forgotten by the storage."""
    with _away():
        token = await data.storage.begin(upload.blob)
    async with transaction() as conn:
        held = await store.set_token(conn, upload, token)
    if held != token:
        with _away():
            await data.storage.abort(upload.blob, token)
    if not held:
        raise UploadNotFound
    return Upload(
        id=upload.id,
        organisation_id=upload.organisation_id,
        key=upload.key,
        content=upload.content,
        opened_by=upload.opened_by,
        token=held,
        expires_at=upload.expires_at,
    )


async def open_upload(conn: Conn, organisation_id: UUID, upload_id: UUID, *, now: datetime) -> Upload:
    """UploadNotFound."""
    upload = await store.upload(conn, organisation_id, upload_id, now=now)
    if upload is None or not upload.token:
        raise UploadNotFound
    return upload


async def arrived(data: DataStore, upload: Upload) -> list[int]:
    """Numbers of the parts that are here as they were announced. UploadNotFound, StoreAway."""
    digests = upload.content.digests
    with _away():
        try:
            found = await data.storage.arrived(upload.blob, upload.token, upload.content)
        except ContentGone:
            raise UploadNotFound from None
    return sorted(
        number for number, sha256 in found.items() if 1 <= number <= len(digests) and sha256 == digests[number - 1]
    )


def part_address(data: DataStore, upload: Upload, number: int) -> Address:
    """PartsWrong: there is no such part."""
    if not 1 <= number <= upload.content.shape.count:
        raise PartsWrong(problem="number", expected=upload.content.shape.count)
    with _away():
        return data.storage.part_address(
            upload.blob, upload.token, upload.content, number, life=data.limits.address_life
        )


async def complete(data: DataStore, transaction: Transaction, upload: Upload, *, now: datetime) -> StoredObject:
    """All parts are there and checked: the object appears under its key. Again: the same object.

    UploadIncomplete, UploadNotFound, ChecksumWrong, StoreAway.
    """
    here = await arrived(data, upload)
    missing = sorted(set(range(1, upload.content.shape.count + 1)) - set(here))
    if missing:
        raise UploadIncomplete(missing=len(missing), first=missing[0])
    with _away():
        try:
            await data.storage.complete(upload.blob, upload.token, upload.content)
        except ContentGone:
            raise UploadNotFound from None
        except PartRefused as wrong:
            raise ChecksumWrong(what=str(wrong)) from wrong
    new = StoredObject(
        id=upload.id,
        organisation_id=upload.organisation_id,
        key=upload.key,
        content=upload.content,
        checksum=upload.content.checksum,
        created_by=upload.opened_by,
        created_at=now,
    )
    async with transaction() as conn:
        await store.lock(conn, upload.organisation_id)
        if await store.end_upload(conn, upload.organisation_id, upload.id, "complete", now=now):
            await store.insert_object(conn, new)
            return new
        known = await store.by_id(conn, upload.organisation_id, upload.id)
    if known is None:
        raise UploadNotFound  # given up meanwhile: what has arrived is purged
    return known


async def completed(conn: Conn, organisation_id: UUID, upload_id: UUID) -> StoredObject | None:
    """The object of an upload that was completed before: a lost answer is asked for again."""
    return await store.by_id(conn, organisation_id, upload_id)


async def give_up(conn: Conn, organisation_id: UUID, upload_id: UUID, *, now: datetime) -> None:
    """Ends an upload; what it brought is removed later. UploadNotFound."""
    if not await store.end_upload(conn, organisation_id, upload_id, "given-up", now=now):
        raise UploadNotFound


async def object_by_key(conn: Conn, organisation_id: UUID, key: str) -> StoredObject:
    """The current version. InvalidKey, ObjectNotFound."""
    clean = clean_key(key)
    found = await store.current(conn, organisation_id, clean)
    if found is None:
        raise ObjectNotFound(key=shown(clean))
    return found


async def freeze(conn: Conn, organisation_id: UUID, wishes: Sequence[InputWish]) -> Sequence[FrozenInput]:
    """The versions that a job will read, as they are now. InvalidKey, ObjectNotFound."""
    keys = {each.key: clean_key(each.key) for each in wishes}
    found = await store.current_of(conn, organisation_id, sorted(set(keys.values())))
    frozen = []
    for each in wishes:
        one = found.get(keys[each.key])
        if one is None:
            raise ObjectNotFound(key=shown(keys[each.key]))
        frozen.append(FrozenInput(name=each.name, key=one.key, object_id=one.id, size=one.size, checksum=one.checksum))
    return frozen


async def remove(conn: Conn, organisation_id: UUID, key: str, *, now: datetime) -> None:
    """ObjectNotFound. A job that waits for it will not run."""
    clean = clean_key(key)
    await store.lock(conn, organisation_id)
    if not await store.remove(conn, organisation_id, clean, now=now):
        raise ObjectNotFound(key=shown(clean))


async def listed(conn: Conn, organisation_id: UUID, *, prefix: str, after: str, limit: int) -> list[StoredObject]:
    """Current objects whose key begins so, in the order of their keys' bytes, after a key."""
    return await store.listed(conn, organisation_id, prefix=prefix, after=after, limit=limit)


async def usage(conn: Conn, organisation_id: UUID) -> Usage:
    return await store.usage(conn, organisation_id)


def read_address(data: DataStore, found: StoredObject) -> Address:
    """Where a client reads it."""
    with _away():
        return data.storage.read_address(
            found.blob, found.content, filename=found.key.rpartition("/")[2], life=data.limits.address_life
        )


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except StorageAway as away:
        raise StoreAway from away
