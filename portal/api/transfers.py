"""The portal's own signed addresses, where the store is a folder: one part in, one content out. Nobody signs in here:
the address itself says all that it allows, and for how long.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from infra.refusal import Refusal
from portal.data.capability import Grant
from portal.data.errors import ChecksumWrong, DataNotOffered, ObjectNotFound, RangeWrong, StoreAway, UploadNotFound
from portal.data.folder import FolderStorage
from portal.data.keys import shown
from portal.data.model import Content
from portal.data.parts import Shape
from portal.data.storage import ContentGone, PartRefused, StorageAway
from portal.deps import deps_of

router = APIRouter(tags=["data"])
_PIECE_BYTES = 2**20
_DRAIN_BYTES = 64 * 2**20
_RANGE = re.compile(r"bytes=([0-9]{1,18})?-([0-9]{1,18})?")


@router.put("/transfers/{word}", status_code=HTTPStatus.NO_CONTENT)
async def put_part(request: Request, word: str) -> None:
    """Takes one part: exactly what was announced, or nothing of it."""
    try:
        storage = _folder(request)
        grant = storage.signer.read(word, method="PUT", now=deps_of(request).clock())
        if request.headers.get("content-length") != str(grant.size):
            raise ChecksumWrong(what="size")
        await _receive(storage, grant, request)
    except Refusal:
        await _drain(request)
        raise


async def _receive(storage: FolderStorage, grant: Grant, request: Request) -> None:
    try:
        await storage.receive(grant.blob, grant.number, _pieces(request), size=grant.size, sha256=grant.sha256)
    except PartRefused as wrong:
        raise ChecksumWrong(what=str(wrong)) from wrong
    except ClientDisconnect:
        raise ChecksumWrong(what="size") from None  # nobody hears it; nothing is kept
    except ContentGone:
        raise UploadNotFound from None
    except StorageAway as away:
        raise StoreAway from away


@router.get("/transfers/{word}", response_class=Response)
async def get_content(
    request: Request,
    word: str,
    range_: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
) -> Response:
    """Gives one content, whole or a range of it: always as a file to be kept, never to be shown."""
    storage = _folder(request)
    grant = storage.signer.read(word, method="GET", now=deps_of(request).clock())
    first, end = _stretch(range_, grant.size)
    content = Content(shape=Shape(size=grant.size, part_bytes=grant.part_bytes), part_sha256=b"")
    pieces = storage.read(grant.blob, content, offset=first, length=end - first)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(grant.filename, safe='')}",
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - first),
    }
    partial = end - first < grant.size
    if partial:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{grant.size}"
    return StreamingResponse(
        await _begun(pieces, grant),
        status_code=HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK,
        headers=headers,
        media_type="application/octet-stream",
    )


async def _begun(pieces: AsyncIterator[bytes], grant: Grant) -> AsyncIterator[bytes]:
    """The same pieces, the first of them read: a content that is gone is an answer and not a broken stream."""
    try:
        first = await anext(pieces, b"")
    except ContentGone:
        raise ObjectNotFound(key=shown(grant.filename)) from None
    except StorageAway as away:
        raise StoreAway from away

    async def again() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return again()


def _stretch(told: str | None, size: int) -> tuple[int, int]:
    """First byte and the one behind the last. What is no single range is not a range, as HTTP has it. RangeWrong."""
    match = _RANGE.fullmatch(told.strip()) if told else None
    if match is None or match[1] == match[2] is None:
        return 0, size
    if match[1] is None:
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), size if match[2] is None else min(size, int(match[2]) + 1)
    if first >= end:
        raise RangeWrong(size_bytes=size)
    return first, end


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in larger pieces: one visit to the disk for each."""
    held = bytearray()
    async for piece in request.stream():
        held += piece
        if len(held) >= _PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def _drain(request: Request) -> None:
    """A client that is still sending would see a broken connection instead of the refusal."""
    read = 0
    with suppress(ClientDisconnect, RuntimeError):
        async for piece in request.stream():
            read += len(piece)
            if read > _DRAIN_BYTES:
                return


def _folder(request: Request) -> FolderStorage:
    data = deps_of(request).data
    if data is None or not isinstance(data.storage, FolderStorage):
        raise DataNotOffered
    return data.storage
