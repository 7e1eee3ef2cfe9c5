"""Files in the organisation's store: put, get, list, remove. A transfer that broke off is gone on with."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from urllib.parse import quote

import httpx2

from kyoyo.errors import NotFound, UsageError
from kyoyo.models import Fields, Json
from kyoyo.parts import Moved, Shape, checksum_of, digest_of, shape_of
from kyoyo.transfer import Address, Transfers
from kyoyo.transport import Transport

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """An object as the portal tells it. checksum: see kyoyo.parts.checksum_of."""

    key: str
    size_bytes: int
    checksum: str
    created_at: datetime | None
    raw: Json

    @classmethod
    def of(cls, told: object) -> ObjectRecord:
        """Read an object."""
        fields = Fields(told)
        return cls(
            key=fields.text("key"),
            size_bytes=fields.integer("size_bytes", 0),
            checksum=fields.text("checksum"),
            created_at=fields.instant("created_at"),
            raw=fields.told,
        )


def silent(_: int) -> None:
    """Shows no progress."""


class Data:
    """The organisation's files. Use it as `client.data`."""

    def __init__(self, transport: Transport, *, home: str, http: httpx2.BaseTransport | None = None) -> None:
        self._transport, self._home, self._http = transport, home, http

    def objects(self, prefix: str = "") -> Iterator[ObjectRecord]:
        """Every object whose key begins so, in the order of the keys."""
        cursor: str | None = None
        while True:
            page = Fields(self._transport.get("/data/objects", prefix=prefix or None, limit=_PAGE, cursor=cursor))
            yield from page.items(ObjectRecord.of)
            cursor = page.text("next_cursor", "")
            if not cursor:
                return

    def usage(self) -> Json:
        """What is kept, and how much may be."""
        return Fields(self._transport.get("/data/usage")).told

    def remove(self, key: str) -> None:
        """Remove an object. NotFound."""
        self._transport.delete(f"/data/objects?key={quote(key, safe='')}")

    def put(
        self, path: str | Path, key: str | None = None, *, hashed: Moved = silent, moved: Moved = silent
    ) -> ObjectRecord:
        """Keep a file under a key (default: its name). Nobody sees it before it is whole.

        Broken off, even by a kill: the same call again sends what is missing. UsageError, Refused, Unavailable.
        """
        with _opened(Path(path)) as (fd, size):
            shape = shape_of(size)
            digests = self._digests(fd, shape, hashed)
            body = {
                "key": key or Path(path).name,
                "size_bytes": size,
                "part_sha256": [digest.hex() for digest in digests],
            }
            upload = Fields(self._transport.post("/data/uploads", body))
            if upload.told.get("object") is not None:
                moved(size)
                return ObjectRecord.of(upload.told["object"])
            return self._send(upload, fd, shape, moved)

    def get(self, key: str, path: str | Path | None = None, *, overwrite: bool = False, moved: Moved = silent) -> Path:
        """Bring an object into a file (default: its name, here; a folder: its name, there), checked and whole.

        Broken off, the same call again fetches what is missing. UsageError: the file exists. NotFound, Unavailable.
        """
        told = Fields(self._transport.post("/data/downloads", {"key": key}))
        found = ObjectRecord.of(told.told.get("object"))
        target = _target(found.key, path)
        if not overwrite and target.exists():
            raise UsageError(key="wrong.exists", path=str(target))
        shape = Shape(found.size_bytes, told.integer("part_bytes", 1))
        digests = [bytes.fromhex(str(each)) for each in told.told.get("part_sha256", [])]
        if len(digests) != shape.count or checksum_of(digests) != found.checksum:
            raise NotFound("checksum-wrong", found.key)
        partial = target.with_name(f".{target.name[:100]}.{found.checksum[:16]}.part")
        self._fetch(found, partial, shape, digests, moved)
        partial.replace(target)
        return target

    def _digests(self, fd: int, shape: Shape, hashed: Moved) -> list[bytes]:
        found: dict[int, bytes] = {}
        told = _locked(hashed)

        def work(number: int, _: Event) -> None:
            found[number] = digest_of(fd, shape, number, told)

        with self._transfers() as transfers:
            transfers.each(range(1, shape.count + 1), work)
        return [found[number] for number in range(1, shape.count + 1)]

    def _send(self, upload: Fields, fd: int, shape: Shape, moved: Moved) -> ObjectRecord:
        place = f"/data/uploads/{quote(upload.text('id'), safe='')}"
        arrived = {int(each) for each in upload.told.get("arrived", [])}
        told = _locked(moved)
        told(sum(shape.size_of(number) for number in arrived))

        def address(number: int) -> Address:
            answer = Fields(self._transport.post(f"{place}/addresses", {"numbers": [number]}))
            return Address.of(answer.told["items"][0], home=self._home)

        with self._transfers() as transfers:
            transfers.each(
                [number for number in range(1, shape.count + 1) if number not in arrived],
                lambda number, stop: transfers.send(lambda: address(number), fd, shape, number, stop, told),
            )
        return ObjectRecord.of(self._transport.post(f"{place}/complete"))

    def _fetch(self, found: ObjectRecord, partial: Path, shape: Shape, digests: list[bytes], moved: Moved) -> None:
        told = _locked(moved)

        def address() -> Address:
            return Address.of(self._transport.post("/data/downloads", {"key": found.key}), home=self._home)

        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            begun = os.fstat(fd).st_size == shape.size > 0
            os.ftruncate(fd, shape.size)

            def work(number: int, stop: Event) -> None:
                sha256 = digests[number - 1]
                if shape.size_of(number) == 0 or (begun and digest_of(fd, shape, number, silent) == sha256):
                    told(shape.size_of(number))
                    return
                transfers.fetch(address, fd, shape, number, sha256, stop, told)

            with self._transfers() as transfers:
                transfers.each(range(1, shape.count + 1), work)
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _transfers(self) -> Iterator[Transfers]:
        transfers = Transfers(pace=self._transport.pace, http=self._http)
        try:
            yield transfers
        finally:
            if self._http is None:
                transfers.close()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """A regular file and its size. UsageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(key="wrong.unreadable", path=str(path)) from error
    try:
        told = os.fstat(fd)
        if not stat.S_ISREG(told.st_mode):
            raise UsageError(key="wrong.no_file", path=str(path))
        yield fd, told.st_size
    finally:
        with suppress(OSError):
            os.close(fd)


def _target(key: str, path: str | Path | None) -> Path:
    """Where it goes. The portal's key is a stranger's text: only its last part is used, and only as a plain name."""
    name = key.rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name or os.sep in name:
        raise UsageError(key="wrong.key", text=repr(key))
    if path is None:
        return Path(name)
    chosen = Path(path)
    return chosen / name if chosen.is_dir() else chosen


def _locked(moved: Moved) -> Moved:
    """Several workers tell one listener."""
    lock = Lock()

    def told(count: int) -> None:
        with lock:
            moved(count)

    return told
