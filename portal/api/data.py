"""Files: announce, address the parts, complete; list, address for reading, remove. No content passes through here."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from portal.api.wire import In, Out, Word
from portal.auth.caller import Caller, JobsReader, JobsWriter
from portal.data import service as data
from portal.data.errors import DataNotOffered
from portal.data.keys import own_key
from portal.data.model import StoredObject
from portal.data.parts import MAX_PARTS
from portal.data.service import DataStore
from scheduler.errors import BadCursor

router = APIRouter(tags=["data"])
_MOST = 1_000
_ADDRESSES = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
Sha256 = Annotated[str, Field(pattern=_SHA256.pattern, min_length=64, max_length=64)]
Bytes = Annotated[int, Field(ge=0, le=2**62)]


class ObjectOut(Out):
    """`checksum`: SHA-256 of a file of one part; else the SHA-256 of the parts' SHA-256s, "-", and their number."""

    key: str
    size_bytes: int
    checksum: str
    created_at: datetime


class ObjectPage(Out):
    items: list[ObjectOut]
    next_cursor: str | None


class DataUsageOut(Out):
    """What counts against the quota: objects, and uploads from their announcement on."""

    objects: int
    object_bytes: int
    upload_bytes: int
    quota_bytes: int


class NewUpload(In):
    """`part_sha256`: of each part in order, in hex. A part has 16 MiB; of a very large file ceil(size / 10,000) bytes
    rounded up to whole MiB. An empty file has one empty part.
    """

    key: Annotated[Word, Field(examples=["data/train.csv"])]
    size_bytes: Bytes
    part_sha256: Annotated[list[Sha256], Field(min_length=1, max_length=MAX_PARTS)]


class UploadOut(Out):
    """`object`: set when this very content is there already; nothing is to be sent then. Else send the parts that have
    not `arrived`, each to an address of its own, and complete. The same announcement again finds the same upload.
    """

    id: UUID | None
    object: ObjectOut | None
    part_bytes: int
    parts: int
    arrived: list[int]
    expires_at: datetime | None


class Numbers(In):
    numbers: Annotated[list[Annotated[int, Field(ge=1, le=MAX_PARTS)]], Field(min_length=1, max_length=_ADDRESSES)]


class AddressOut(Out):
    """Send the request so, without a token. A path belongs to this portal. It is good for a few minutes."""

    number: int
    method: str
    url: str
    headers: dict[str, str]


class AddressesOut(Out):
    items: list[AddressOut]


class Wanted(In):
    key: Word


class DownloadOut(Out):
    """Read it at `url`, whole or by Range, and compare each part with `part_sha256`."""

    object: ObjectOut
    method: str
    url: str
    headers: dict[str, str]
    part_bytes: int
    part_sha256: list[str]


def _store(caller: Caller) -> DataStore:
    if caller.deps.data is None:
        raise DataNotOffered
    return caller.deps.data


@router.get("/data/objects")
async def list_objects(
    caller: JobsReader,
    prefix: Annotated[Word, Query(description="Only keys that begin so.")] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 200,
    cursor: Annotated[str | None, Query(max_length=1_500, description="next_cursor of the page before.")] = None,
) -> ObjectPage:
    """The organisation's objects in the order of their keys."""
    _store(caller)
    after = "" if cursor is None else _after(cursor)
    async with caller.transaction() as conn:
        found = await data.listed(conn, caller.organisation_id, prefix=prefix, after=after, limit=limit + 1)
    more = found[limit - 1].key if len(found) > limit else None
    return ObjectPage(
        items=[object_out(each) for each in found[:limit]], next_cursor=None if more is None else _cursor(more)
    )


@router.get("/data/usage")
async def data_usage(caller: JobsReader) -> DataUsageOut:
    """How much the organisation keeps, and how much it may keep."""
    limits = _store(caller).limits
    async with caller.transaction() as conn:
        used = await data.usage(conn, caller.organisation_id)
    return DataUsageOut(
        objects=used.objects,
        object_bytes=used.object_bytes,
        upload_bytes=used.upload_bytes,
        quota_bytes=limits.quota_bytes,
    )


@router.post("/data/uploads")
async def announce_upload(caller: JobsWriter, new: NewUpload) -> UploadOut:
    """Announces a file, or finds the upload of it that was begun before: its parts are not sent twice."""
    store, key = _store(caller), own_key(new.key)
    content = data.content_of(new.size_bytes, bytes.fromhex("".join(new.part_sha256)), store.limits)
    known = await data.announce(
        store,
        caller.transaction,
        organisation_id=caller.organisation_id,
        person_id=caller.principal.person_id,
        key=key,
        content=content,
        upload_id=caller.new_id(),
        now=caller.now,
    )
    shape = content.shape
    if isinstance(known, StoredObject):
        return UploadOut(
            id=None,
            object=object_out(known),
            part_bytes=shape.part_bytes,
            parts=shape.count,
            arrived=[],
            expires_at=None,
        )
    return UploadOut(
        id=known.id,
        object=None,
        part_bytes=shape.part_bytes,
        parts=shape.count,
        arrived=await data.arrived(store, known),
        expires_at=known.expires_at,
    )


@router.post("/data/uploads/{upload_id}/addresses")
async def address_parts(caller: JobsWriter, upload_id: UUID, wanted: Numbers) -> AddressesOut:
    """Where to put parts of an upload."""
    store = _store(caller)
    async with caller.transaction() as conn:
        upload = await data.open_upload(conn, caller.organisation_id, upload_id, now=caller.now)
    told = [(number, data.part_address(store, upload, number)) for number in dict.fromkeys(wanted.numbers)]
    return AddressesOut(
        items=[
            AddressOut(number=number, method=address.method, url=address.url, headers=dict(address.headers))
            for number, address in told
        ]
    )


@router.post("/data/uploads/{upload_id}/complete")
async def complete_upload(caller: JobsWriter, upload_id: UUID) -> ObjectOut:
    """Every part is there: the object appears under its key. Again: the same answer."""
    store = _store(caller)
    async with caller.transaction() as conn:
        known = await data.completed(conn, caller.organisation_id, upload_id)
        upload = known or await data.open_upload(conn, caller.organisation_id, upload_id, now=caller.now)
    if isinstance(upload, StoredObject):
        return object_out(upload)
    return object_out(await data.complete(store, caller.transaction, upload, now=caller.now))


@router.delete("/data/uploads/{upload_id}", status_code=HTTPStatus.NO_CONTENT)
async def give_up_upload(caller: JobsWriter, upload_id: UUID) -> None:
    """Ends an upload and frees what it had reserved."""
    _store(caller)
    async with caller.transaction() as conn:
        await data.give_up(conn, caller.organisation_id, upload_id, now=caller.now)


@router.post("/data/downloads")
async def address_object(caller: JobsReader, wanted: Wanted) -> DownloadOut:
    """Where to read an object."""
    store = _store(caller)
    async with caller.transaction() as conn:
        found = await data.object_by_key(conn, caller.organisation_id, wanted.key)
    address = data.read_address(store, found)
    return DownloadOut(
        object=object_out(found),
        method=address.method,
        url=address.url,
        headers=dict(address.headers),
        part_bytes=found.content.shape.part_bytes,
        part_sha256=[digest.hex() for digest in found.content.digests],
    )


@router.delete("/data/objects", status_code=HTTPStatus.NO_CONTENT)
async def remove_object(caller: JobsWriter, key: Annotated[Word, Query()]) -> None:
    """Removes an object and every version of it. A job that still waits for it ends without having run."""
    _store(caller)
    async with caller.transaction() as conn:
        await data.remove(conn, caller.organisation_id, key, now=caller.now)


def object_out(found: StoredObject) -> ObjectOut:
    """All that is told of an object."""
    return ObjectOut(key=found.key, size_bytes=found.size, checksum=found.checksum, created_at=found.created_at)


def _cursor(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _after(cursor: str) -> str:
    try:
        key = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise BadCursor from None
    if "\0" in key:
        raise BadCursor
    return key
