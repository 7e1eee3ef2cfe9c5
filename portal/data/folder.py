"""Objects in a folder of this machine (or of a file system that all portals and workers share).

    uploads/<organisation>.<id>/    parts that have arrived: `<number>-<sha256>`, each durable before it has that name
    blobs/<organisation>/<id>/      the same folder, renamed when the upload is complete

The parts of an upload are announced with their SHA-256 before the first arrives, so a part that comes twice, late or at
the same time as another is the same bytes, and a committed content cannot be changed by a slow sender. Folders are
opened one by one without following links.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from infra.clock import Clock, utc_now
from portal.data.capability import TRANSFERS, Grant, Signer
from portal.data.model import Blob, Content
from portal.data.storage import Address, ContentGone, PartRefused, StorageAway

_UPLOADS, _BLOBS = "uploads", "blobs"
_PART: Final = re.compile(r"([1-9][0-9]{0,4})-([0-9a-f]{64})")
_PIECE_BYTES: Final = 2**20
_RESERVE_BYTES: Final = 256 * 2**20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStorage:
    """Implements `storage.Storage`; its transfers go through the portal's own signed addresses."""

    def __init__(self, root: Path, signer: Signer, *, clock: Clock = utc_now) -> None:
        self._root, self._clock = root, clock
        self.signer = signer
        for name in (_UPLOADS, _BLOBS):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    async def begin(self, blob: Blob) -> str:
        await asyncio.to_thread(self._begin, blob)
        return "folder"

    def part_address(self, blob: Blob, token: str, content: Content, number: int, *, life: timedelta) -> Address:  # noqa: ARG002
        grant = Grant(
            method="PUT",
            blob=blob,
            size=content.shape.size_of(number),
            expires_s=self._until(life),
            number=number,
            sha256=content.digests[number - 1].hex(),
        )
        return Address(method="PUT", url=f"{TRANSFERS}/{self.signer.sign(grant)}")

    def read_address(self, blob: Blob, content: Content, *, filename: str, life: timedelta) -> Address:
        grant = Grant(
            method="GET",
            blob=blob,
            size=content.shape.size,
            expires_s=self._until(life),
            part_bytes=content.shape.part_bytes,
            filename=filename,
        )
        return Address(method="GET", url=f"{TRANSFERS}/{self.signer.sign(grant)}")

    async def put_part(self, blob: Blob, token: str, number: int, data: bytes, sha256: bytes) -> None:  # noqa: ARG002
        async def once() -> AsyncIterator[bytes]:
            yield data

        await self.receive(blob, number, once(), size=len(data), sha256=sha256.hex())

    async def receive(self, blob: Blob, number: int, pieces: AsyncIterator[bytes], *, size: int, sha256: str) -> None:
        """One part as it comes over the wire: kept when it is exactly what was announced. ContentGone, PartRefused."""
        part = await asyncio.to_thread(_Incoming, self._root, _upload_name(blob), number)
        try:
            async for piece in pieces:
                if part.size + len(piece) > size:
                    raise PartRefused("size")
                await asyncio.to_thread(part.write, piece)
            if part.size != size:
                raise PartRefused("size")
            if part.sha256 != sha256:
                raise PartRefused("checksum")
            await asyncio.to_thread(part.keep)
        finally:
            part.close()

    async def arrived(self, blob: Blob, token: str, content: Content) -> Mapping[int, bytes]:  # noqa: ARG002
        return await asyncio.to_thread(self._arrived, blob)

    async def complete(self, blob: Blob, token: str, content: Content) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._complete, blob)

    async def abort(self, blob: Blob, token: str) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._remove, (_UPLOADS, _upload_name(blob)))

    async def delete(self, blob: Blob) -> None:
        await asyncio.to_thread(self._remove, (_BLOBS, blob.organisation_id.hex, blob.id.hex))

    async def read(self, blob: Blob, content: Content, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """By the parts' names, which hold their checksums: only what was announced is ever read."""
        end, part_bytes = min(offset + length, content.shape.size), content.shape.part_bytes
        folder = await asyncio.to_thread(self._opened, blob)
        try:
            names = await asyncio.to_thread(_parts_in, folder)
            while offset < end:
                first = offset // part_bytes * part_bytes
                upto = min(end, first + part_bytes)
                async for piece in _pieces(folder, names.get(first // part_bytes + 1), offset - first, upto - first):
                    offset += len(piece)
                    yield piece
        finally:
            os.close(folder)

    async def close(self) -> None:
        """Nothing is held."""

    # ---- in a thread

    def _until(self, life: timedelta) -> int:
        return int((self._clock() + life).timestamp())

    def _begin(self, blob: Blob) -> None:
        with _told():
            disk = os.statvfs(self._root)
            if disk.f_bavail * disk.f_frsize < _RESERVE_BYTES:
                raise StorageAway("disk-full")
            with suppress(FileExistsError):
                (self._root / _UPLOADS / _upload_name(blob)).mkdir(mode=0o700)
            _sync(self._root / _UPLOADS)

    def _arrived(self, blob: Blob) -> dict[int, bytes]:
        with _told():
            try:
                folder = _walk(self._root, (_UPLOADS, _upload_name(blob)))
            except ContentGone:
                folder = self._opened(blob)  # complete already: whoever asks may have died before noting it
            try:
                names = _parts_in(folder).values()
            finally:
                os.close(folder)
        return {int(name.partition("-")[0]): bytes.fromhex(name.partition("-")[2]) for name in names}

    def _complete(self, blob: Blob) -> None:
        home = self._root / _BLOBS / blob.organisation_id.hex
        with _told():
            try:
                folder = _walk(self._root, (_UPLOADS, _upload_name(blob)))
            except ContentGone:
                os.close(self._opened(blob))
                return
            try:
                for name in os.listdir(folder):  # noqa: PTH208  by descriptor
                    if _PART.fullmatch(name) is None:
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
            home.mkdir(mode=0o700, exist_ok=True)
            (self._root / _UPLOADS / _upload_name(blob)).rename(home / blob.id.hex)
            _sync(home)
            _sync(self._root / _UPLOADS)

    def _opened(self, blob: Blob) -> int:
        return _walk(self._root, (_BLOBS, blob.organisation_id.hex, blob.id.hex))

    def _remove(self, names: tuple[str, ...]) -> None:
        with _told(), suppress(ContentGone, FileNotFoundError):
            above = _walk(self._root, names[:-1])
            try:
                folder = _walk(self._root, names)
                try:
                    for name in os.listdir(folder):  # noqa: PTH208  by descriptor
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=folder)
                finally:
                    os.close(folder)
                os.rmdir(names[-1], dir_fd=above)
            finally:
                os.close(above)


class _Incoming:
    """A part while it arrives: nobody sees it before keep()."""

    def __init__(self, root: Path, upload: str, number: int) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._number = number
        self._name: str | None = f".{number}.{secrets.token_hex(8)}"
        self._folder = _walk(root, (_UPLOADS, upload))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with _told():
                self._fd = os.open(self._name, flags, 0o600, dir_fd=self._folder)
        except BaseException:
            os.close(self._folder)
            raise

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)
        rest = memoryview(piece)
        with _told():
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def keep(self) -> None:
        assert self._name is not None
        with _told():
            os.fsync(self._fd)
            final = f"{self._number}-{self.sha256}"
            os.rename(self._name, final, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._name = None
            os.fsync(self._folder)

    def close(self) -> None:
        os.close(self._fd)
        if self._name is not None:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)


def _upload_name(blob: Blob) -> str:
    return f"{blob.organisation_id.hex}.{blob.id.hex}"


def _walk(root: Path, names: tuple[str, ...]) -> int:
    """A descriptor of a folder below root, without following a link. ContentGone: not there, or not a folder."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            raise ContentGone(name) from None
        except OSError as error:
            raise (ContentGone(name) if error.errno == errno.ELOOP else StorageAway(str(error))) from error
        finally:
            os.close(fd)
        fd = inner
    return fd


def _parts_in(folder: int) -> dict[int, str]:
    """Names of the parts by number."""
    return {int(match[1]): name for name in os.listdir(folder) if (match := _PART.fullmatch(name)) is not None}


async def _pieces(folder: int, name: str | None, start: int, end: int) -> AsyncIterator[bytes]:
    """A stretch of one part. ContentGone: it is not there, no file, or too short."""
    if name is None:
        raise ContentGone("part")
    fd = await asyncio.to_thread(_open_part, folder, name)
    try:
        while start < end:
            piece = await asyncio.to_thread(os.pread, fd, min(_PIECE_BYTES, end - start), start)
            if not piece:
                raise ContentGone("cut short")
            start += len(piece)
            yield piece
    finally:
        os.close(fd)


def _open_part(folder: int, name: str) -> int:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise ContentGone(name) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ContentGone(name)
    return fd


def _sync(folder: Path) -> None:
    fd = os.open(folder, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _told() -> Iterator[None]:
    """What the file system says, in the storage's words."""
    try:
        yield
    except FileNotFoundError as error:
        raise ContentGone(str(error)) from error
    except OSError as error:
        raise StorageAway("disk-full" if error.errno == errno.ENOSPC else f"os-error-{error.errno}") from error
